// What a person can do with a result. Every correction makes a new result; undo goes to an earlier id.

import { Store } from './events.js';
import { textOf } from './hosts/common.js';
import { report } from './words.js';

const SCHEME = 'sam3i://results';
const CLIP_SCHEME = 'sam3i://clips';
const REPORT_AFTER_MS = 400;
const DEEDS = 5;

export class Session {
  #views = new Map();
  #photos = new Map();
  #reporting;
  #deeds = [];
  #wantedFrame = null;

  constructor(host) {
    this.host = host;
    this.store = new Store({
      view: null, // the result, as view.json has it
      photo: '', // as a data URI
      given: null, // a picture that nothing has been asked about: { uri, name }
      words: '',
      route: 'auto',
      shown: new Set(), // numbers of the instances
      hovered: null,
      selected: null,
      tool: 'move',
      adding: true, // what a click says: belongs to it, or does not
      busy: '',
      problem: '',
      clip: null,
      frame: 0,
      past: [],
      future: [],
      click: null, // the last one, for its other readings
      routes: {},
    });
    host.on('input', (args) => this.#takeInput(args));
    host.on('result', (answer) => this.#takeAnswer(answer));
    host.on('cancelled', () => this.store.set({ busy: '', problem: 'The call was cancelled.' }));
    host.on('progress', (line) => this.store.set({ busy: line }));
  }

  get state() {
    return this.store.state;
  }

  /** Tell the model what the person has done, once they rest. */
  report(deed) {
    clearTimeout(this.#reporting);
    this.#deeds = [...this.#deeds, deed].slice(-DEEDS);
    this.#reporting = setTimeout(() => {
      const { text, data } = report(this.state, this.#deeds);
      this.host.tell(text, data).catch(() => {});
    }, REPORT_AFTER_MS);
  }

  /** Show a result, with all its instances. */
  async open(id, keep = {}) {
    const view = await this.#view(id);
    const photo = await this.#photo(view);
    this.store.set({
      view,
      photo,
      given: null,
      words: view.instruction || this.state.words,
      shown: new Set(view.instances.map((one) => one.number)),
      hovered: null,
      selected: null,
      click: null,
      busy: '',
      problem: '',
      clip: null,
      ...keep,
    });
    return view;
  }

  /** Segment the picture in sight by words. */
  ask(words, route = this.state.route) {
    const { given, view } = this.state;
    const image = given?.uri ?? view?.result_id;
    if (!image || !words) return undefined;
    return this.#work('Looking …', async () => {
      const id = await this.#call('segment', { image, instruction: words, route });
      await this.#enter(id, { words, route, routes: {} });
      this.report(`asked for “${words}” by the ${route} route${given ? ' in a picture of their own' : ''}`);
    });
  }

  /** More like what is in a box, or not that. */
  box(box, positive) {
    return this.#work(positive ? 'Looking for more like this …' : 'Looking again …', async () => {
      const result_id = this.state.view.result_id;
      const id = await this.#call('refine', { result_id, boxes: [box], positive });
      await this.#enter(id);
      this.report(`drew a box [${box.join(', ')}] around ${positive ? 'more like this' : 'what is not meant'}`);
    });
  }

  /** Correct one instance by a click, or add the one under it. */
  click(point, positive, reading = 1) {
    const { view, selected, click } = this.state;
    const from = reading > 1 ? click.from : view.result_id;
    const instance = reading > 1 ? click.instance : (selected ?? undefined);
    return this.#work('Correcting …', async () => {
      const args = { result_id: from, points: [point], positive, reading, ...(instance && { instance }) };
      const id = await this.#call('refine', args);
      if (reading > 1) this.store.set({ past: this.state.past.slice(0, -1) });
      await this.#enter(id, { selected: instance ?? null });
      this.store.set({ click: { from, point, positive, instance, reading } });
      this.report(`clicked at [${point.join(', ')}] on what ${positive ? 'belongs to' : 'does not belong to'} ${instance ? `instance ${instance}` : 'an instance'}`);
    });
  }

  undo() {
    const { past, future, view } = this.state;
    const id = past.at(-1) ?? view?.parent_id;
    if (!id) return undefined;
    return this.#work('', async () => {
      await this.open(id, { past: past.slice(0, -1), future: [view.result_id, ...future] });
      this.report('went back to an earlier result');
    });
  }

  redo() {
    const { past, future, view } = this.state;
    if (!future.length) return undefined;
    return this.#work('', async () => {
      await this.open(future[0], { past: [...past, view.result_id], future: future.slice(1) });
      this.report('went forward again');
    });
  }

  /** Ask all routes, for the comparison. */
  compare() {
    const { view, words, routes } = this.state;
    return this.#work('Asking by each route …', async () => {
      let found = routes;
      for (const route of ['direct', 'agent', 'auto']) {
        if (found[route]) continue;
        const id = await this.#call('segment', { image: view.result_id, instruction: words, route });
        found = { ...found, [route]: await this.#view(id) };
        this.store.set({ routes: found });
      }
      this.store.set({ busy: '' });
    });
  }

  /** Go on with what a route has found. */
  take(route) {
    const { routes } = this.state;
    return this.#work('', async () => {
      await this.#enter(routes[route].result_id, { route, routes });
      this.report(`chose what the ${route} route found`);
    });
  }

  toggle(number, on) {
    const shown = new Set(this.state.shown);
    if (on) shown.add(number);
    else shown.delete(number);
    this.store.set({ shown });
    this.report(`switched instance ${number} ${on ? 'on' : 'off'}`);
  }

  toggleAll(on) {
    const numbers = on ? this.state.view.instances.map((one) => one.number) : [];
    this.store.set({ shown: new Set(numbers) });
    this.report(`switched all instances ${on ? 'on' : 'off'}`);
  }

  /** One of several that the words fit. */
  choose(number) {
    this.store.set({ shown: new Set([number]), selected: number });
    this.report(`says that instance ${number} is the one they mean`);
  }

  select(number) {
    this.store.set({ selected: number });
    if (number) this.report(`selected instance ${number}`);
  }

  /** A picture that the person gives. */
  give(uri, name) {
    this.store.set({
      given: { uri, name },
      photo: uri,
      view: null,
      clip: null,
      shown: new Set(),
      selected: null,
      past: [],
      future: [],
      routes: {},
      problem: '',
    });
  }

  /** Show a frame of the clip; while one is on its way, only the last that was asked for counts. */
  async showFrame(frame) {
    this.store.set({ frame });
    const busy = this.#wantedFrame !== null;
    this.#wantedFrame = frame;
    if (busy) return;
    try {
      for (let shown = null; shown !== this.#wantedFrame;) {
        shown = this.#wantedFrame;
        const uri = `${CLIP_SCHEME}/${this.state.clip.clip_id}/frames/${shown}.jpg`;
        const { blob, mimeType } = await this.host.read(uri);
        this.store.set({ photo: `data:${mimeType};base64,${blob}`, problem: '' });
      }
    } catch (error) {
      this.store.set({ problem: error.message });
    }
    this.#wantedFrame = null;
  }

  async readText(name) {
    return (await this.host.read(`${SCHEME}/${this.state.view.result_id}/${name}`)).text;
  }

  /** Base64 of a PNG with the chosen instances on a transparent ground, at the photo's size. */
  async cutOut(numbers) {
    const { structuredContent } = await this.host.call('edit', {
      result_id: this.state.view.result_id,
      action: 'remove_background',
      instances: numbers,
    });
    return (await this.host.read(structuredContent.uri)).blob;
  }

  async #work(busy, job) {
    if (this.state.busy) return;
    if (busy) this.store.set({ busy, problem: '' });
    try {
      await job();
    } catch (error) {
      this.store.set({ busy: '', problem: error.message });
    }
  }

  async #enter(id, keep = {}) {
    const { view, past } = this.state;
    await this.open(id, { past: view ? [...past, view.result_id] : past, future: [], ...keep });
  }

  async #call(tool, args) {
    const answer = await this.host.call(tool, { ...args, include: [] });
    const id = answer.structuredContent?.result_id;
    if (!id) throw new Error(textOf(answer) || 'The server gave no result.');
    return id;
  }

  async #view(id) {
    if (!this.#views.has(id)) {
      const { text } = await this.host.read(`${SCHEME}/${id}/view.json`);
      this.#views.set(id, JSON.parse(text));
    }
    return this.#views.get(id);
  }

  async #photo(view) {
    if (!this.#photos.has(view.photo)) {
      const { blob, mimeType } = await this.host.read(`${SCHEME}/${view.result_id}/photo.jpg`);
      this.#photos.set(view.photo, `data:${mimeType};base64,${blob}`);
    }
    return this.#photos.get(view.photo);
  }

  #takeInput(args) {
    this.store.set({
      words: args.instruction ?? '',
      route: args.route ?? 'auto',
      busy: args.instruction || args.result_id ? 'Looking …' : '',
    });
  }

  #takeAnswer(answer) {
    this.store.set({ busy: '' });
    const data = answer.structuredContent;
    if (answer.isError || !data) {
      this.store.set({ problem: textOf(answer) || 'The tool gave no answer.' });
    } else if (data.result_id) {
      this.#work('Opening …', () => this.open(data.result_id));
    } else if (data.clip_id) {
      this.store.set({ clip: data, view: null });
      this.showFrame(data.tracks[0]?.first_frame ?? 0);
    }
  }
}
