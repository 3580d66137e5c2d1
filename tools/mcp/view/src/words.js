// What people and models read.

/** What the model should know of the view, as text and as data. */
export function report(state, deeds) {
  const { view, shown, selected } = state;
  if (!view) return { text: '', data: {} };
  const numbers = view.instances.map((one) => one.number);
  const on = numbers.filter((one) => shown.has(one));
  const off = numbers.filter((one) => !shown.has(one));
  const lines = [
    `In the view of sam3i the person ${deeds.join(', then ')}.`,
    `Now in sight: result_id ${view.result_id}, ${found(view)} by the ${view.route} route. Use this result_id from now on.`,
  ];
  if (off.length) lines.push(`Switched on: ${list(on)}; switched off: ${list(off)}.`);
  if (selected) lines.push(`Selected: ${selected}.`);
  return {
    text: lines.join('\n'),
    data: { result_id: view.result_id, count: view.count, shown: on, hidden: off, selected },
  };
}

/** "3 instances of “mug”". */
export function found(view) {
  const what = view.instruction ? ` of “${view.instruction}”` : '';
  return `${view.count} instance${view.count === 1 ? '' : 's'}${what}`;
}

function list(numbers) {
  return numbers.join(', ') || 'none';
}

/** The question of an answer whose words fit several things; empty where they do not. */
export function ambiguity(view) {
  return view.warnings.some((one) => one.startsWith('ambiguous')) && view.instances.length > 1;
}

/** A line of the trace: its step, and what it says. */
export function step(line) {
  const cut = line.indexOf(': ');
  return cut > 0 && cut < 16 ? [line.slice(0, cut), line.slice(cut + 2)] : ['', line];
}
