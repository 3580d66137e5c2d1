// The page put together, for whichever program is around it.

import { bar } from './bar.js';
import { clip } from './clip.js';
import { h } from './dom.js';
import { AppHost } from './hosts/app.js';
import { FileHost } from './hosts/file.js';
import { ServerHost } from './hosts/server.js';
import { list } from './list.js';
import { pictures } from './pictures.js';
import { compare, why } from './routes.js';
import { saving } from './saving.js';
import { Session } from './session.js';
import { Stage } from './stage.js';
import { tabs } from './tabs.js';
import { tools } from './tools.js';
import { tokenForm } from './token.js';

const root = document.documentElement;
const alone = window.parent === window;

function hostOf() {
  const embedded = document.getElementById('result');
  if (embedded) return new FileHost(JSON.parse(embedded.textContent));
  return alone ? new ServerHost() : new AppHost();
}

function apply({ theme, styles, displayMode, safeAreaInsets, containerDimensions }) {
  if (theme) root.style.colorScheme = theme;
  for (const [name, value] of Object.entries(styles?.variables ?? {})) {
    if (value) root.style.setProperty(name, value);
  }
  const fixed = Boolean(containerDimensions && 'height' in containerDimensions);
  root.classList.toggle('filled', alone || fixed || displayMode === 'fullscreen');
  for (const [side, pixels] of Object.entries(safeAreaInsets ?? {})) {
    root.style.setProperty(`--safe-${side}`, `${pixels}px`);
  }
}

async function start() {
  const host = hostOf();
  host.on('context', apply);
  const session = new Session(host);
  const { store } = session;
  const app = document.getElementById('app');
  if (host.kind === 'server') app.append(tokenForm(host));
  try {
    await host.connect();
  } catch (error) {
    store.set({ problem: error.message });
  }
  apply(host.context);

  const stage = new Stage(session);
  const given = pictures(session, () => upper.focus());
  const upper = bar(session, given);
  const { element: toolbar, help } = tools(session, stage);
  const progress = h('div', { class: 'progress', hidden: true });
  const said = h('p', { class: 'busy', role: 'status' });
  const problem = h('p', { class: 'problem', role: 'alert' });
  const frame = h('div', { class: 'frame' }, stage.element, toolbar, given.element, help, said, progress);
  const tracks = clip(session);
  const parts = tabs([
    ['Found', list(session)],
    ['Why', why(session)],
    ...(host.can.call ? [['Compare', compare(session)]] : []),
  ]);
  const panel = h('aside', { class: 'panel', 'aria-label': 'Result' }, parts, tracks, saving(session));
  const keys = h('p', { id: 'keys', class: 'visually-hidden' }, 'Plus and minus zoom, 0 shows all, arrow keys move. M, N and C choose a tool; then arrow keys move a cross, and Enter sets a corner or clicks.');
  app.append(h('h1', { class: 'visually-hidden' }, 'Segment by instruction'), upper.element, problem, h('main', { class: 'body' }, frame, panel), keys);

  store.watch(['busy', 'problem'], (state) => {
    progress.hidden = !state.busy;
    said.textContent = state.busy;
    problem.textContent = state.problem;
    problem.hidden = !state.problem;
    app.setAttribute('aria-busy', Boolean(state.busy));
  });
  store.watch(['aspect'], ({ aspect = 1.5 }) => root.style.setProperty('--aspect', aspect));
  store.watch(['view', 'clip'], ({ view, clip: tracked }) => {
    panel.hidden = !view && !tracked;
    parts.hidden = Boolean(tracked);
    tracks.hidden = !tracked;
    app.dataset.result = view?.result_id ?? '';
  });
  new ResizeObserver(() => {
    const { width, height } = app.getBoundingClientRect();
    host.resized(Math.ceil(width), Math.ceil(height));
  }).observe(app);
  if (host.resultId) await session.open(host.resultId);
  app.dataset.ready = 'true';
}

start();
