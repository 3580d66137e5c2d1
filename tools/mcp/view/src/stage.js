// The photo: pan and zoom by mouse, touch and keys; boxes and clicks in pixels of the photo.

import { Camera } from './camera.js';
import { h, s } from './dom.js';
import { Marks } from './marks.js';

const TAP_PX = 5;
const LEAST_BOX_PX = 4;
const STEP_PX = 48;
const CURSOR_PX = 8;
const KEY_ZOOM = 1.3;
const WHEEL = 0.0022;
const SETTLE_MS = 140;

export class Stage {
  camera = new Camera();
  #pointers = new Map();
  #start = null;
  #pinch = 0;
  #moved = false;
  #cursor = null; // of the keyboard, on the stage
  #corner = null; // first of a box, by the keyboard
  #settling;

  constructor(session) {
    this.session = session;
    this.marks = new Marks(session);
    this.picture = h('img', { alt: '', draggable: 'false', class: 'photo' });
    this.world = h('div', { class: 'world' }, this.picture, this.marks.element);
    this.draft = h('div', { class: 'draft', hidden: true });
    this.cross = s('svg', { class: 'cross', viewBox: '-16 -16 32 32', 'aria-hidden': 'true' }, s('path', { d: 'M-14 0h10m8 0h10M0-14v10m0 8v10' }));
    this.dot = h('div', { class: 'dot', hidden: true });
    this.element = h(
      'div',
      { class: 'stage', tabindex: '0', role: 'application', 'aria-roledescription': 'photo', 'aria-describedby': 'keys' },
      this.world, this.draft, this.dot, this.cross,
    );
    this.cross.style.display = 'none';
    this.#listen();
    const { store } = session;
    store.watch(['photo'], ({ photo }) => {
      if (photo) this.picture.src = photo;
      this.world.hidden = !photo;
    });
    this.picture.addEventListener('load', () => {
      if (!store.state.view) this.#sizeTo(this.picture.naturalWidth, this.picture.naturalHeight);
    });
    store.watch(['view'], ({ view }) => {
      if (view) this.#sizeTo(view.width, view.height);
      this.marks.scaleTo(this.camera.scale);
      this.element.setAttribute('aria-label', view ? `Photo with ${view.instances.length} instances marked` : 'Photo');
    });
    store.watch(['tool', 'adding'], ({ tool, adding }) => {
      this.element.dataset.tool = tool;
      this.element.dataset.adding = adding;
      this.#noCursor();
    });
    store.watch(['busy'], ({ busy }) => {
      if (!busy) this.#hideDrafts();
    });
    store.watch(['selected'], ({ view, selected }) => {
      const one = view?.instances.find(({ number }) => number === selected);
      if (!one) return;
      this.camera.reveal(one.box);
      this.#place();
    });
    new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = this.element;
      if (!width || !height) return;
      this.camera.stageOf({ width, height });
      this.#place(true);
    }).observe(this.element);
  }

  zoom(factor, at) {
    this.camera.zoom(factor, at);
    this.#place();
  }

  fit() {
    this.camera.fit();
    this.#place();
  }

  #sizeTo(width, height) {
    this.session.store.set({ aspect: width / height });
    if (this.width === width && this.height === height) return;
    Object.assign(this, { width, height });
    this.world.style.width = `${width}px`;
    this.world.style.height = `${height}px`;
    this.camera.photoOf({ width, height });
    this.#place(true);
  }

  /** Move the layer now; draw it sharply, with lines at their size, once it rests. */
  #place(rests = false) {
    const { x, y, scale } = this.camera;
    this.world.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.element.classList.toggle('whole', this.camera.isWhole);
    this.session.store.set({ scale });
    clearTimeout(this.#settling);
    if (rests) return this.#settle();
    this.world.classList.add('moving');
    this.#settling = setTimeout(() => this.#settle(), SETTLE_MS);
  }

  #settle() {
    this.world.classList.remove('moving');
    if (this.scaled === this.camera.scale) return;
    this.scaled = this.camera.scale;
    this.marks.scaleTo(this.scaled);
  }

  #listen() {
    const { element } = this;
    element.addEventListener('pointerdown', (event) => this.#down(event));
    element.addEventListener('pointermove', (event) => this.#move(event));
    element.addEventListener('pointerup', (event) => this.#up(event));
    element.addEventListener('pointercancel', (event) => this.#cancel(event));
    element.addEventListener('dblclick', (event) => {
      if (this.session.state.tool === 'move') this.zoom(2, this.#at(event));
    });
    element.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    element.addEventListener('keydown', (event) => this.#key(event));
    element.addEventListener('blur', () => this.#noCursor());
  }

  #at(event) {
    const frame = this.element.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  #down(event) {
    if (event.button > 0) return;
    this.#pointers.set(event.pointerId, this.#at(event));
    this.element.setPointerCapture(event.pointerId);
    if (this.#pointers.size === 1) {
      this.#start = this.#at(event);
      this.#moved = false;
      this.target = Number(event.target.dataset?.number) || null;
    } else {
      this.#start = null; // two fingers zoom, whatever the tool
      this.draft.hidden = true;
      this.#pinch = this.#spread();
    }
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const at = this.#at(event);
    this.#pointers.set(event.pointerId, at);
    if (this.#pointers.size === 2) {
      const spread = this.#spread();
      const [one, other] = [...this.#pointers.values()];
      this.camera.pan((at.x - before.x) / 2, (at.y - before.y) / 2);
      this.zoom(spread / (this.#pinch || spread), { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 });
      this.#pinch = spread;
      return;
    }
    if (!this.#start) return;
    const far = Math.hypot(at.x - this.#start.x, at.y - this.#start.y) > TAP_PX;
    this.#moved ||= far;
    if (!this.#moved) return;
    const { tool } = this.session.state;
    if (tool === 'more' || tool === 'not') this.#drawDraft(this.#start, at);
    else {
      this.camera.pan(at.x - before.x, at.y - before.y);
      this.#place();
    }
  }

  #up(event) {
    const start = this.#start;
    const at = this.#at(event);
    this.#pointers.delete(event.pointerId);
    this.#start = null;
    if (!start) return;
    const { tool, adding, selected } = this.session.state;
    if (tool === 'more' || tool === 'not') {
      if (this.#moved) this.#finishBox(start, at);
    } else if (!this.#moved && tool === 'fix') {
      this.#finishClick(at, event.altKey ? !adding : adding);
    } else if (!this.#moved) {
      this.session.select(this.target === selected ? null : this.target);
    }
  }

  #cancel(event) {
    this.#pointers.delete(event.pointerId);
    this.#start = null;
    this.draft.hidden = true;
  }

  #spread() {
    const [one, other] = [...this.#pointers.values()];
    return Math.hypot(one.x - other.x, one.y - other.y);
  }

  #wheel(event) {
    const free = document.documentElement.classList.contains('filled');
    if (!free && !event.ctrlKey && !event.metaKey) return; // the page around scrolls
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const pinch = event.ctrlKey ? 4 : 1;
    this.zoom(Math.exp(-event.deltaY * lines * pinch * WHEEL), this.#at(event));
  }

  #drawDraft(from, to) {
    Object.assign(this.draft.style, {
      left: `${Math.min(from.x, to.x)}px`,
      top: `${Math.min(from.y, to.y)}px`,
      width: `${Math.abs(to.x - from.x)}px`,
      height: `${Math.abs(to.y - from.y)}px`,
    });
    this.draft.hidden = false;
  }

  #finishBox(from, to) {
    const [ax, ay] = this.camera.toPhoto(from);
    const [bx, by] = this.camera.toPhoto(to);
    const box = [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
    const small = Math.min(box[2] - box[0], box[3] - box[1]) * this.camera.scale < LEAST_BOX_PX;
    if (small || box[0] === box[2] || box[1] === box[3]) this.draft.hidden = true;
    else this.session.box(box, this.session.state.tool === 'more');
  }

  #finishClick(at, positive) {
    const [x, y] = this.camera.toPhoto(at);
    this.dot.className = positive ? 'dot' : 'dot counter';
    Object.assign(this.dot.style, { left: `${at.x}px`, top: `${at.y}px` });
    this.dot.hidden = false;
    const point = [Math.min(x, this.width - 1), Math.min(y, this.height - 1)];
    this.session.click(point, positive);
  }

  #hideDrafts() {
    this.draft.hidden = true;
    this.dot.hidden = true;
  }

  #key(event) {
    const arrows = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const { tool } = this.session.state;
    if (event.key in arrows) {
      const [dx, dy] = arrows[event.key];
      if (tool === 'move') this.camera.pan(dx * STEP_PX, dy * STEP_PX);
      else this.#moveCursor(-dx, -dy, event.shiftKey);
      this.#place();
    } else if (event.key === 'Enter' || event.key === ' ') this.#press(event.altKey);
    else if (event.key === 'Escape') {
      this.#noCursor();
      this.draft.hidden = true;
      this.session.store.set({ tool: 'move', selected: null });
    } else return;
    event.preventDefault();
  }

  #moveCursor(dx, dy, far) {
    const { clientWidth: width, clientHeight: height } = this.element;
    const step = far ? 4 * CURSOR_PX : CURSOR_PX;
    this.#cursor ??= { x: width / 2, y: height / 2 };
    this.#cursor = {
      x: Math.max(0, Math.min(width, this.#cursor.x + dx * step)),
      y: Math.max(0, Math.min(height, this.#cursor.y + dy * step)),
    };
    this.cross.style.display = '';
    this.cross.style.transform = `translate(${this.#cursor.x - 16}px, ${this.#cursor.y - 16}px)`;
    if (this.#corner) this.#drawDraft(this.#corner, this.#cursor);
  }

  #press(alt) {
    const { tool, adding } = this.session.state;
    if (tool === 'move') return;
    if (!this.#cursor) this.#moveCursor(0, 0, false);
    else if (tool === 'fix') this.#finishClick(this.#cursor, alt ? !adding : adding);
    else if (this.#corner) {
      this.#finishBox(this.#corner, this.#cursor);
      this.#corner = null;
    } else this.#corner = this.#cursor;
  }

  #noCursor() {
    this.#cursor = this.#corner = null;
    this.cross.style.display = 'none';
  }
}

export const ZOOM_STEP = KEY_ZOOM;
