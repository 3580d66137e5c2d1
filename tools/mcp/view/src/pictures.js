// Pictures that a person gives: dropped, pasted or chosen. What a host cannot hand on gets here.

import { h, icon } from './dom.js';

const AS_IT_IS_BYTES = 12_000_000;
const LONGEST_PX = 4096;
const QUALITY = 0.92;

export function pictures(session, focusWords) {
  const { store, host } = session;
  const file = h('input', { type: 'file', accept: 'image/*', class: 'visually-hidden', tabindex: '-1', 'aria-hidden': 'true', onchange: () => take(file.files) });
  const pick = () => file.click();
  const empty = h(
    'div',
    { class: 'empty' },
    icon('picture'),
    h('p', { class: 'lead' }, 'Drop a picture here'),
    h('p', {}, 'or paste one, or ', h('button', { type: 'button', class: 'link', onclick: pick }, 'choose a file')),
  );
  store.watch(['photo', 'busy', 'clip'], ({ photo, busy, clip }) => {
    empty.hidden = Boolean(photo || busy || clip) || !host.can.call;
  });

  async function take(files) {
    const one = [...files].find((each) => each.type.startsWith('image/'));
    if (!one) {
      store.set({ problem: 'That is no picture.' });
      return;
    }
    try {
      session.give(await uriOf(one), one.name);
      focusWords();
    } catch {
      store.set({ problem: `${one.name} cannot be read as a picture.` });
    }
  }

  const over = (on) => document.documentElement.classList.toggle('dropping', on);
  const useful = (event) => host.can.call && event.dataTransfer?.types.includes('Files');
  addEventListener('dragover', (event) => {
    if (!useful(event)) return;
    event.preventDefault();
    over(true);
  });
  addEventListener('dragleave', (event) => event.relatedTarget === null && over(false));
  addEventListener('drop', (event) => {
    if (!useful(event)) return;
    event.preventDefault();
    over(false);
    take(event.dataTransfer.files);
  });
  addEventListener('paste', (event) => {
    if (host.can.call && event.clipboardData?.files.length) take(event.clipboardData.files);
  });
  return { element: h('div', {}, empty, file), pick };
}

/** A data URI; a picture too large to be sent is made smaller. */
async function uriOf(file) {
  const whole = await readUri(file);
  if (file.size <= AS_IT_IS_BYTES) return whole;
  const image = new Image();
  image.src = whole;
  await image.decode();
  const scale = Math.min(1, LONGEST_PX / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(image.naturalWidth * scale);
  canvas.height = Math.round(image.naturalHeight * scale);
  canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL('image/jpeg', QUALITY);
}

function readUri(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
