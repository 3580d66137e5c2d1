// The instances: number, name, place, score, and a switch each.

import { colourOf, h, icon } from './dom.js';
import { ambiguity } from './words.js';

export function list(session) {
  const { store } = session;
  const title = h('h2', { class: 'title' });
  const about = h('p', { class: 'about' });
  const all = toggle('All instances', (on) => session.toggleAll(on));
  const head = h('div', { class: 'head' }, h('div', {}, title, about), h('label', { class: 'all' }, h('span', {}, 'All'), all));
  const question = h('div', { class: 'question', role: 'group', 'aria-label': 'Which one is meant?' });
  const rows = h('ul', { class: 'rows', 'aria-label': 'Instances' });
  const nothing = h('p', { class: 'nothing' });
  let known = new Map();

  store.watch(['view'], ({ view }) => {
    known = new Map();
    rows.replaceChildren();
    for (const one of view?.instances ?? []) {
      const row = rowOf(one);
      known.set(one.number, row);
      rows.append(row.element);
    }
    head.hidden = !view;
    const none = view && !view.instances.length;
    nothing.hidden = !none;
    rows.hidden = none || !view;
    all.parentElement.hidden = none;
    if (!view) return;
    title.textContent = none ? 'Nothing found' : `${view.count} found`;
    about.textContent = `${view.route} route · ${view.seconds.toFixed(view.seconds < 10 ? 1 : 0)} s`;
    nothing.textContent = 'Try plainer words, or draw a box around an example.';
    ask(view);
  });
  store.watch(['view', 'shown', 'hovered', 'selected'], ({ view, shown, hovered, selected }) => {
    if (!view) return;
    set(all, shown.size === view.instances.length, shown.size > 0 && shown.size < view.instances.length);
    for (const [number, row] of known) {
      set(row.toggle, shown.has(number));
      row.element.classList.toggle('off', !shown.has(number));
      row.element.classList.toggle('hovered', number === hovered);
      row.element.classList.toggle('selected', number === selected);
      row.pick.setAttribute('aria-pressed', number === selected);
    }
  });
  store.watch(['selected'], ({ selected }) => known.get(selected)?.element.scrollIntoView({ block: 'nearest' }));

  function rowOf({ number, name, place, score, area }) {
    const switcher = toggle(`Show ${number}: ${name}`, (on) => session.toggle(number, on));
    const percent = Math.round(score * 100);
    const pick = h(
      'button',
      {
        type: 'button',
        class: 'pick',
        onclick: () => session.select(store.state.selected === number ? null : number),
        onfocus: () => store.set({ hovered: number }),
        onblur: () => store.set({ hovered: null }),
      },
      h('span', { class: 'chip', style: `--mark: ${colourOf(number)}` }, String(number)),
      h('span', { class: 'what' }, h('span', { class: 'name' }, name), h('span', { class: 'place' }, `${place} · ${area.toLocaleString('en')} px`)),
      h('span', { class: 'score' }, `${percent}`, h('span', { class: 'unit' }, '%'), h('span', { class: 'meter', style: `--share: ${score}` })),
    );
    const element = h('li', { class: 'row', 'data-number': number }, pick, switcher);
    element.addEventListener('pointerenter', (event) => event.pointerType === 'mouse' && store.set({ hovered: number }));
    element.addEventListener('pointerleave', () => store.set({ hovered: null }));
    return { element, pick, toggle: switcher };
  }

  function ask(view) {
    question.hidden = !ambiguity(view);
    if (question.hidden) return;
    question.replaceChildren(
      h('p', {}, 'The words mean one thing, and several fit. Which one?'),
      h('div', { class: 'choices' }, view.instances.map(({ number, place }) =>
        h('button', { type: 'button', style: `--mark: ${colourOf(number)}`, 'aria-label': `Number ${number}, ${place}`, onclick: () => session.choose(number), onpointerenter: () => store.set({ hovered: number }), onpointerleave: () => store.set({ hovered: null }) }, String(number)))),
    );
  }
  return h('div', { class: 'found' }, head, question, nothing, rows);
}

function toggle(label, change) {
  const button = h('button', { type: 'button', role: 'switch', class: 'switch', 'aria-label': label, onclick: () => change(button.getAttribute('aria-checked') !== 'true') });
  return button;
}

function set(button, on, some = false) {
  button.setAttribute('aria-checked', on);
  button.classList.toggle('some', some);
}
