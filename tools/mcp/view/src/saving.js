// Saving what is switched on: PNG with alpha, COCO, SVG; copying the PNG.

import { h, icon } from './dom.js';
import { toBase64 } from './hosts/common.js';

export function saving(session) {
  const { store, host } = session;
  const said = h('span', { class: 'said', role: 'status' });
  const button = (name, title, job, sign = 'save') =>
    h('button', { type: 'button', title, onclick: () => run(job) }, icon(sign), name);
  const png = button('PNG', 'The instances on a transparent ground', savePng);
  const copy = button('Copy', 'Copy the PNG', copyPng, 'copy');
  const rest = [
    button('COCO', 'Masks as COCO JSON', saveCoco),
    button('SVG', 'Outlines as SVG', saveSvg),
  ];
  const element = h('footer', { class: 'saving' }, h('span', { class: 'caption' }, 'Save'), png, rest, copy, said);
  store.watch(['view', 'shown', 'busy'], ({ view, shown, busy }) => {
    element.hidden = !view?.instances.length;
    for (const one of element.querySelectorAll('button')) one.disabled = Boolean(busy) || !shown.size;
  });
  if (!host.can.call) png.hidden = copy.hidden = true;

  const chosen = () => store.state.view.instances.map((one) => one.number).filter((one) => store.state.shown.has(one));
  const stem = () => store.state.view.photo_name.replace(/\.[^.]*$/, '');

  async function run(job) {
    said.textContent = '';
    try {
      said.textContent = await job();
    } catch (error) {
      said.textContent = error.message;
    }
  }

  async function savePng() {
    const name = `${stem()}-cut-out.png`;
    await host.save(name, 'image/png', await session.cutOut(chosen()));
    return `Saved ${name}`;
  }

  async function copyPng() {
    const picture = session.cutOut(chosen()).then((base64) => {
      const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
      return new Blob([bytes], { type: 'image/png' });
    });
    try {
      await navigator.clipboard.write([new ClipboardItem({ 'image/png': picture })]);
    } catch {
      throw new Error('Copying is not allowed here; save it instead.');
    }
    return 'Copied';
  }

  async function saveCoco() {
    const name = `${stem()}.coco.json`;
    const coco = JSON.parse(await session.readText('coco.json'));
    const on = new Set(chosen());
    coco.annotations = coco.annotations.filter((one) => on.has(one.id));
    await host.save(name, 'application/json', toBase64(JSON.stringify(coco)));
    return `Saved ${name}`;
  }

  async function saveSvg() {
    const name = `${stem()}.svg`;
    const svg = new DOMParser().parseFromString(await session.readText('svg'), 'image/svg+xml');
    const on = new Set(chosen());
    for (const one of svg.querySelectorAll('path[id^=instance-]')) {
      if (!on.has(Number(one.id.slice('instance-'.length)))) one.remove();
    }
    await host.save(name, 'image/svg+xml', toBase64(new XMLSerializer().serializeToString(svg)));
    return `Saved ${name}`;
  }
  return element;
}
