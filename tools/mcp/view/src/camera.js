// Where the photo is on the stage: a scale and a shift, in pixels of the screen.

const MOST = 40;
const LEAST_SHOWN = 48;

export class Camera {
  scale = 1;
  x = 0;
  y = 0;
  #photo = { width: 1, height: 1 };
  #stage = { width: 1, height: 1 };

  /** The scale at which the whole photo is in sight. */
  get whole() {
    const { width, height } = this.#stage;
    return Math.min(width / this.#photo.width, height / this.#photo.height);
  }

  get isWhole() {
    return this.scale <= this.whole * 1.001;
  }

  photoOf(size) {
    this.#photo = size;
    this.fit();
  }

  stageOf(size) {
    const wasWhole = this.isWhole;
    this.#stage = size;
    if (wasWhole) this.fit();
    else this.#hold();
  }

  fit() {
    this.scale = this.whole;
    this.x = (this.#stage.width - this.#photo.width * this.scale) / 2;
    this.y = (this.#stage.height - this.#photo.height * this.scale) / 2;
  }

  /** Zoom by a factor about a point of the stage, its middle where none is given. */
  zoom(factor, at = { x: this.#stage.width / 2, y: this.#stage.height / 2 }) {
    const scale = Math.max(this.whole, Math.min(MOST, this.scale * factor));
    const ratio = scale / this.scale;
    this.x = at.x - (at.x - this.x) * ratio;
    this.y = at.y - (at.y - this.y) * ratio;
    this.scale = scale;
    if (this.isWhole) this.fit();
    else this.#hold();
  }

  pan(dx, dy) {
    if (this.isWhole) return;
    this.x += dx;
    this.y += dy;
    this.#hold();
  }

  /** Bring a box of the photo into sight, where it is not. */
  reveal([x0, y0, x1, y1]) {
    if (this.isWhole) return;
    const { width, height } = this.#stage;
    const left = this.x + x0 * this.scale;
    const top = this.y + y0 * this.scale;
    const right = this.x + x1 * this.scale;
    const bottom = this.y + y1 * this.scale;
    if (right < 0 || left > width) this.x += width / 2 - (left + right) / 2;
    if (bottom < 0 || top > height) this.y += height / 2 - (top + bottom) / 2;
    this.#hold();
  }

  /** From the stage to whole pixels of the photo. */
  toPhoto(at) {
    const clamp = (value, most) => Math.max(0, Math.min(most, Math.round(value)));
    return [
      clamp((at.x - this.x) / this.scale, this.#photo.width),
      clamp((at.y - this.y) / this.scale, this.#photo.height),
    ];
  }

  /** Some of the photo stays in sight. */
  #hold() {
    const { width, height } = this.#stage;
    const wide = this.#photo.width * this.scale;
    const high = this.#photo.height * this.scale;
    this.x = Math.min(width - LEAST_SHOWN, Math.max(LEAST_SHOWN - wide, this.x));
    this.y = Math.min(height - LEAST_SHOWN, Math.max(LEAST_SHOWN - high, this.y));
  }
}
