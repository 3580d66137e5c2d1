// The tools over the photo: look, more like this, not this, correct; zoom; undo and redo.

import { h, icon } from './dom.js';
import { ZOOM_STEP } from './stage.js';

const TOOLS = [
  ['move', 'Look around', 'v'],
  ['more', 'More like this: draw a box around an example', 'm'],
  ['not', 'Not this: draw a box around what is not meant', 'n'],
  ['fix', 'Correct one: click on what belongs to it, or does not', 'c'],
];
const NAMES = { move: 'Look', more: 'More like this', not: 'Not this', fix: 'Correct' };

export function tools(session, stage) {
  const { store, host } = session;
  const choose = (tool) => {
    store.set({ tool: store.state.tool === tool ? 'move' : tool });
  };
  const buttons = TOOLS.map(([tool, title, key]) =>
    h(
      'button',
      { type: 'button', class: 'tool', title: `${title} (${key.toUpperCase()})`, 'aria-label': NAMES[tool], 'data-tool': tool, onclick: () => choose(tool) },
      icon(tool), h('span', { class: 'name' }, NAMES[tool]),
    ));
  const undo = h('button', { type: 'button', class: 'plain', title: 'Undo (Ctrl+Z)', 'aria-label': 'Undo', onclick: () => session.undo() }, icon('undo'));
  const redo = h('button', { type: 'button', class: 'plain', title: 'Redo (Ctrl+Shift+Z)', 'aria-label': 'Redo', onclick: () => session.redo() }, icon('redo'));
  const left = h('div', { class: 'pill', role: 'toolbar', 'aria-label': 'Correct the result' }, buttons, h('span', { class: 'rule' }), undo, redo);
  const right = h(
    'div',
    { class: 'pill zoom', role: 'toolbar', 'aria-label': 'Zoom' },
    zoomButton('minus', 'Zoom out (-)', () => stage.zoom(1 / ZOOM_STEP)),
    h('button', { type: 'button', class: 'plain percent', title: 'The whole photo (0)', onclick: () => stage.fit() }),
    zoomButton('plus', 'Zoom in (+)', () => stage.zoom(ZOOM_STEP)),
  );
  store.watch(['scale', 'view'], ({ scale = 1 }) => {
    const button = right.querySelector('.percent');
    const percent = Math.round(scale * 100);
    button.textContent = `${percent} %`;
    button.setAttribute('aria-label', `Zoom ${percent} percent; show the whole photo`);
  });

  const sides = h('div', { class: 'segments', role: 'radiogroup', 'aria-label': 'A click says' }, sideButton(true, 'Belongs to it'), sideButton(false, 'Does not'));
  const other = h('button', { type: 'button', class: 'link', onclick: () => readOn() }, 'Another reading');
  const hint = h('p', { class: 'hint', id: 'hint' });
  const help = h('div', { class: 'help' }, hint, sides, other);
  store.watch(['tool', 'adding', 'selected', 'click'], ({ tool, adding, selected, click }) => {
    for (const one of buttons) one.setAttribute('aria-pressed', one.dataset.tool === tool);
    for (const one of sides.children) one.setAttribute('aria-checked', String(adding) === one.dataset.adding);
    help.hidden = tool === 'move';
    sides.hidden = tool !== 'fix';
    other.hidden = tool !== 'fix' || !click;
    hint.textContent = {
      move: '',
      more: 'Draw a box around one more of these.',
      not: 'Draw a box around what is not meant.',
      fix: selected ? `Click to correct instance ${selected}.` : 'Click on an instance, or on what is missing.',
    }[tool];
  });
  store.watch(['past', 'future', 'view', 'clip', 'busy'], ({ past, future, view, clip, busy }) => {
    const boxes = host.can.call && view?.takes_boxes;
    const points = host.can.call && view?.takes_points;
    for (const one of buttons) {
      const { tool } = one.dataset;
      one.hidden = tool !== 'move' && !(tool === 'fix' ? points : boxes);
      one.disabled = Boolean(busy);
    }
    buttons[0].hidden = !boxes && !points;
    undo.disabled = Boolean(busy) || !(past.length || view?.parent_id);
    redo.disabled = Boolean(busy) || !future.length;
    left.hidden = !host.can.call || !view;
    right.hidden = !view && !clip;
  });

  function sideButton(adding, name) {
    return h('button', { type: 'button', role: 'radio', 'data-adding': String(adding), onclick: () => store.set({ adding }) }, name);
  }
  function zoomButton(name, title, onclick) {
    return h('button', { type: 'button', class: 'plain', title, 'aria-label': title.replace(/ \(.*/, ''), onclick }, icon(name));
  }
  function readOn() {
    const { click } = store.state;
    session.click(click.point, click.positive, (click.reading % 3) + 1);
  }

  document.addEventListener('keydown', (event) => {
    if (event.target.matches?.('input, textarea, select')) return;
    const mod = event.ctrlKey || event.metaKey;
    if (mod && event.key.toLowerCase() === 'z') {
      if (event.shiftKey) session.redo();
      else session.undo();
    } else if (mod || event.altKey) return;
    else if (event.key === '+' || event.key === '=') stage.zoom(ZOOM_STEP);
    else if (event.key === '-') stage.zoom(1 / ZOOM_STEP);
    else if (event.key === '0') stage.fit();
    else {
      const found = TOOLS.find(([, , key]) => key === event.key.toLowerCase());
      const button = found && buttons.find((one) => one.dataset.tool === found[0]);
      if (!button || button.hidden || button.disabled) return;
      choose(found[0]);
    }
    event.preventDefault();
  });
  return { help, element: h('div', { class: 'tools' }, left, right) };
}
