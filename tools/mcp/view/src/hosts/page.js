// A page of its own, in no frame: it saves and fills the screen by itself, and there is no model to tell.

import { Events } from '../events.js';
import { anchorDownload } from './common.js';

export class PageHost extends Events {
  context = {};
  canFill = true;

  async tell() {}

  async save(name, mime, base64) {
    anchorDownload(name, mime, base64);
  }

  async fill(wanted) {
    await (wanted ? document.documentElement.requestFullscreen() : document.exitFullscreen());
  }

  resized() {}
}
