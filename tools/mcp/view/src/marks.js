// The instances over the photo: outline, tint, and a number that keeps its size.

import { colourOf, s } from './dom.js';

const LABEL_HEIGHT = 20;
const LABEL_PER_DIGIT = 8;
const LABEL_PADDING = 12;
const MANY = 30;

export class Marks {
  element = s('svg', { class: 'marks', 'aria-hidden': 'true' });
  #paths = new Map();
  #labels = new Map();

  constructor(session) {
    this.session = session;
    const { store } = session;
    store.watch(['view'], (state) => this.#build(state.view));
    store.watch(['view', 'shown', 'hovered', 'selected'], (state) => this.#style(state));
    const numberOf = (event) => Number(event.target.dataset?.number) || null;
    this.element.addEventListener('pointerover', (event) => {
      if (event.pointerType === 'mouse') store.set({ hovered: numberOf(event) });
    });
    this.element.addEventListener('pointerleave', () => store.set({ hovered: null }));
  }

  #build(view) {
    this.#paths.clear();
    this.#labels.clear();
    this.element.replaceChildren();
    if (!view) return;
    this.element.setAttribute('viewBox', `0 0 ${view.width} ${view.height}`);
    const sorted = [...view.instances].sort((one, other) => other.area - one.area);
    const halos = s('g', { class: 'halos' });
    const paths = s('g');
    const labels = s('g');
    for (const { number, path, box } of sorted) {
      const colour = `--mark: ${colourOf(number)}`;
      const halo = s('path', { d: path, class: 'halo' });
      const mark = s('path', { d: path, class: 'mark', style: colour, 'data-number': number });
      halos.append(halo);
      paths.append(mark);
      this.#paths.set(number, [mark, halo]);
      const width = LABEL_PADDING + LABEL_PER_DIGIT * String(number).length;
      const label = s(
        'g',
        { class: 'label', style: colour, 'data-number': number },
        s('rect', { x: -width / 2, y: -LABEL_HEIGHT / 2, width, height: LABEL_HEIGHT, rx: LABEL_HEIGHT / 2, 'data-number': number }),
        s('text', { y: 4.5, 'data-number': number }, String(number)),
      );
      const [x, y] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
      Object.assign(label.dataset, { x, y, width, wide: box[2] - box[0] });
      labels.append(label);
      this.#labels.set(number, label);
    }
    for (const { box, positive } of view.examples) {
      const [x0, y0, x1, y1] = box;
      const kind = positive ? 'example' : 'example counter';
      labels.append(s('rect', { class: kind, x: x0, y: y0, width: x1 - x0, height: y1 - y0 }));
    }
    this.element.append(halos, paths, labels);
  }

  #style({ view, shown, hovered, selected }) {
    const focus = hovered ?? selected;
    this.element.classList.toggle('focused', focus !== null && shown.has(focus));
    for (const { number } of view?.instances ?? []) {
      for (const one of [...this.#paths.get(number), this.#labels.get(number)]) {
        one.classList.toggle('off', !shown.has(number));
        one.classList.toggle('focus', number === focus);
        one.classList.toggle('selected', number === selected);
      }
    }
  }

  /** Keep lines and numbers at their size; of many, only numbers that their instances hold. */
  scaleTo(scale) {
    this.element.style.setProperty('--px', 1 / scale);
    const many = this.#labels.size > MANY;
    const taken = [];
    for (const label of this.#labels.values()) {
      const [x, y, wide] = ['x', 'y', 'wide'].map((name) => label.dataset[name] * scale);
      const width = Number(label.dataset.width);
      const held = !many || wide >= width;
      const free = held && taken.every((one) => Math.abs(one.x - x) > (one.width + width) / 2 || Math.abs(one.y - y) > LABEL_HEIGHT);
      label.classList.toggle('crowded', !free);
      if (free) taken.push({ x, y, width });
      label.setAttribute('transform', `translate(${label.dataset.x} ${label.dataset.y}) scale(${1 / scale})`);
    }
  }
}
