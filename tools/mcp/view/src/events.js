// Who listens for what.

export class Events {
  #listeners = new Map();

  on(name, listener) {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
  }

  emit(name, value) {
    for (const one of this.#listeners.get(name) ?? []) one(value);
  }
}

/** One value that all parts of the page read, and who is told of its changes. */
export class Store extends Events {
  constructor(state) {
    super();
    this.state = state;
  }

  set(part) {
    const before = this.state;
    this.state = { ...before, ...part };
    const changed = Object.keys(part).filter((name) => before[name] !== part[name]);
    if (changed.length) this.emit('change', new Set(changed));
  }

  /** Call `draw` now, and whenever one of these parts changes. */
  watch(names, draw) {
    this.on('change', (changed) => {
      if (names.some((name) => changed.has(name))) draw(this.state);
    });
    draw(this.state);
  }
}
