// Tabs, by mouse and by arrow keys.

import { h } from './dom.js';

export function tabs(parts) {
  const buttons = parts.map(([name], index) =>
    h('button', {
      type: 'button',
      role: 'tab',
      id: `tab-${index}`,
      'aria-controls': `part-${index}`,
      onclick: () => open(index),
      onkeydown: (event) => {
        const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!turn) return;
        const next = (index + turn + parts.length) % parts.length;
        open(next);
        buttons[next].focus();
      },
    }, name));
  const panels = parts.map(([, content], index) =>
    h('div', { role: 'tabpanel', class: 'part', id: `part-${index}`, 'aria-labelledby': `tab-${index}`, tabindex: '0' }, content));
  function open(index) {
    buttons.forEach((one, each) => {
      one.setAttribute('aria-selected', each === index);
      one.tabIndex = each === index ? 0 : -1;
      panels[each].hidden = each !== index;
    });
  }
  open(0);
  return h('div', { class: 'tabs' }, h('div', { role: 'tablist', class: 'tablist', 'aria-label': 'Parts' }, buttons), panels);
}
