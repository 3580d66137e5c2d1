// No program at all: a file that holds a result, to look at and to save from.

import { PageHost } from './page.js';

export class FileHost extends PageHost {
  kind = 'file';
  can = { call: false, read: true, tell: false, download: true };
  #resources;

  /** `embedded.resources` has contents by name, `embedded.result_id` what they are about. */
  constructor(embedded) {
    super();
    this.#resources = embedded.resources;
    this.resultId = embedded.result_id;
  }

  async connect() {}

  async read(uri) {
    const name = uri.split('/').at(-1);
    if (!(name in this.#resources)) throw new Error(`The file does not hold ${name}.`);
    return this.#resources[name];
  }
}
