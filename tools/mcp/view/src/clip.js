// A tracked clip: its frames under a slider, and which tracks are in sight.

import { h } from './dom.js';

const PLAY_MS = 200;

export function clip(session) {
  const { store } = session;
  const slider = h('input', { type: 'range', min: 0, value: 0, 'aria-label': 'Frame', oninput: () => show(Number(slider.value)) });
  const where = h('output', { class: 'where' });
  const play = h('button', { type: 'button', class: 'link', onclick: () => run(!playing) }, 'Play');
  const title = h('h2', { class: 'title' });
  const about = h('p', { class: 'about' });
  const rows = h('ul', { class: 'rows', 'aria-label': 'Tracks' });
  let playing;

  store.watch(['clip'], (state) => {
    run(false);
    if (!state.clip) return;
    const { text, frames, tracks, left_out: left } = state.clip;
    title.textContent = `${tracks.length} tracks of “${text}”`;
    about.textContent = `${frames} frames${left ? ` · ${left} others are not what the words mean` : ''}`;
    slider.max = frames - 1;
    rows.replaceChildren(...tracks.map((one) => rowOf(one, show)));
  });
  store.watch(['frame', 'clip'], (state) => {
    if (!state.clip) return;
    slider.value = state.frame;
    where.textContent = `${state.frame + 1} of ${state.clip.frames}`;
    for (const row of rows.children) {
      const inside = row.dataset.first <= state.frame && state.frame <= row.dataset.last;
      row.classList.toggle('off', !inside);
    }
  });

  function show(frame) {
    return session.showFrame(frame);
  }

  async function run(on) {
    playing = on;
    play.textContent = on ? 'Pause' : 'Play';
    while (playing && store.state.clip) {
      const next = store.state.frame + 1;
      if (next >= store.state.clip.frames) return run(false);
      const rested = new Promise((resolve) => setTimeout(resolve, PLAY_MS));
      await show(next);
      await rested;
    }
    return undefined;
  }

  return h('div', { class: 'clip' }, h('div', { class: 'head' }, h('div', {}, title, about)), h('div', { class: 'slide' }, play, slider, where), rows);
}

function rowOf(one, show) {
  const { track, first_frame: first, last_frame: last, frames, mean_score: score } = one;
  return h(
    'li',
    { class: 'row', 'data-first': first, 'data-last': last },
    h(
      'button',
      { type: 'button', class: 'pick', onclick: () => show(first) },
      h('span', { class: 'chip' }, String(track)),
      h('span', { class: 'what' }, h('span', { class: 'name' }, `Track ${track}`), h('span', { class: 'place' }, `frames ${first + 1} to ${last + 1}, in ${frames} of them`)),
      h('span', { class: 'score' }, `${Math.round(score * 100)}`, h('span', { class: 'unit' }, '%')),
    ),
  );
}
