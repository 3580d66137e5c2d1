// The upper bar: what to find, by which route, another picture, full screen.

import { h, icon } from './dom.js';

export const ROUTES = {
  auto: ['Auto', 'The direct route first; the agent where it is not sure'],
  direct: ['Direct', 'One pass of the model'],
  agent: ['Agent', 'Noun phrases, filtered and checked'],
};

export function bar(session, pictures) {
  const { store, host } = session;
  const input = h('input', {
    type: 'text',
    id: 'words',
    placeholder: 'What should be found?',
    'aria-label': 'What should be found',
    autocomplete: 'off',
    enterkeyhint: 'search',
    maxlength: 2000,
    onkeydown: (event) => {
      if (event.key === 'Enter' && !event.isComposing) find();
    },
  });
  // No form: hosts may forbid them in the frame.
  const find = () => session.ask(input.value.trim());
  const go = h('button', { type: 'button', class: 'primary', onclick: find }, 'Find');
  const search = h('div', { class: 'search', role: 'search' }, icon('search'), input, go);
  store.watch(['words'], ({ words }) => {
    input.value = words;
  });

  const routes = h('div', { class: 'segments', role: 'radiogroup', 'aria-label': 'Route' });
  for (const [route, [name, title]] of Object.entries(ROUTES)) {
    const button = h('button', {
      type: 'button',
      role: 'radio',
      title,
      'data-route': route,
      onclick: () => choose(route),
      onkeydown: (event) => {
        const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!turn) return;
        const names = Object.keys(ROUTES);
        const next = names[(names.indexOf(route) + turn + names.length) % names.length];
        choose(next);
        routes.querySelector(`[data-route=${next}]`).focus();
      },
    }, name);
    routes.append(button);
  }
  function choose(route) {
    if (store.state.busy) return;
    store.set({ route });
    if (store.state.view) session.ask(input.value.trim(), route);
  }
  store.watch(['route'], (state) => {
    for (const one of routes.children) {
      const on = one.dataset.route === state.route;
      one.setAttribute('aria-checked', on);
      one.tabIndex = on ? 0 : -1;
    }
  });

  const open = h('button', { type: 'button', class: 'plain', title: 'Another picture', 'aria-label': 'Another picture', onclick: () => pictures.pick() }, icon('picture'));
  const full = h('button', { type: 'button', class: 'plain', title: 'Full screen', 'aria-label': 'Full screen', hidden: !host.canFill, onclick: () => host.fill(!full.classList.contains('on')).catch(() => {}) }, icon('fill'));
  host.on('context', ({ displayMode }) => full.classList.toggle('on', displayMode === 'fullscreen'));
  document.addEventListener('fullscreenchange', () => full.classList.toggle('on', !!document.fullscreenElement));

  const element = h('header', { class: 'bar' }, search, routes, h('span', { class: 'ends' }, open, full));
  if (!host.can.call) for (const one of [routes, open, go]) one.hidden = true;
  if (!host.can.call) input.readOnly = true;
  store.watch(['busy', 'view', 'given'], ({ busy, view, given }) => {
    go.disabled = Boolean(busy) || !(view || given);
  });
  return { element, focus: () => input.focus() };
}
