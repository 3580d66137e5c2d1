// Why the answer is as it is, and what each route finds, side by side.

import { ROUTES } from './bar.js';
import { colourOf, h, s } from './dom.js';
import { found, step } from './words.js';

/** The steps of the result in sight. */
export function why(session) {
  const element = h('div', { class: 'why' });
  session.store.watch(['view'], ({ view }) => {
    element.replaceChildren();
    if (!view) return;
    const facts = `${found(view)}, presence ${percent(view.presence)}, ${view.seconds} s`;
    element.append(h('p', { class: 'facts' }, facts));
    for (const line of view.warnings) element.append(h('p', { class: 'warning' }, line));
    element.append(steps(view.trace));
  });
  return element;
}

/** A card for each route. */
export function compare(session) {
  const { store } = session;
  const run = h('button', { type: 'button', class: 'primary', onclick: () => session.compare() }, 'Ask by all three routes');
  const intro = h('p', { class: 'intro' }, 'The same words by each route, over the same photo.');
  const cards = h('div', { class: 'cards' });
  store.watch(['routes', 'view', 'photo', 'busy', 'words'], ({ routes, view, photo, busy, words }) => {
    const complete = Object.keys(ROUTES).every((route) => routes[route]);
    run.hidden = complete;
    run.disabled = Boolean(busy) || !view || !words;
    cards.replaceChildren(...Object.keys(ROUTES)
      .filter((route) => routes[route])
      .map((route) => card(route, routes[route], photo, view, () => session.take(route))));
  });
  return h('div', { class: 'compare' }, intro, run, cards);
}

function card(route, result, photo, view, take) {
  const chosen = view?.result_id === result.result_id;
  const name = ROUTES[route][0];
  return h(
    'section',
    { class: chosen ? 'card chosen' : 'card', 'aria-label': `${name}: ${found(result)}` },
    h('h3', {}, name, route === 'auto' && h('span', { class: 'through' }, ` → ${result.route}`)),
    picture(result, photo),
    h('p', { class: 'count' }, h('strong', {}, String(result.count)), ` found · presence ${percent(result.presence)} · ${result.seconds.toFixed(1)} s`),
    h('details', {}, h('summary', {}, 'Why'), steps(result.trace)),
    h('button', { type: 'button', disabled: chosen, onclick: take }, chosen ? 'In use' : 'Use this'),
  );
}

function picture({ width, height, instances }, photo) {
  return s(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, class: 'mini', 'aria-hidden': 'true' },
    s('image', { href: photo, width, height, preserveAspectRatio: 'none' }),
    s('rect', { class: 'veil', width, height }),
    instances.map(({ number, path }) => s('path', { d: path, style: `--mark: ${colourOf(number)}` })),
  );
}

function steps(trace) {
  return h('ol', { class: 'steps' }, trace.map((line) => {
    const [name, rest] = step(line);
    return h('li', {}, name && h('b', {}, name), h('span', {}, rest));
  }));
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}
