// The table of layers. Columns belong to groups that can be hidden; `sort` gives what a column is sorted by, null
// at the end.
const two = (first, second) => [first, el('span', {class: 'second'}, second)];

function meter(db) {
  if (!isNumber(db)) return null;
  const share = Math.max(0.03, Math.min(1, db / 50));
  const fill = el('i', {class: levelOf(db)});
  fill.style.width = `${share * 100}%`;
  return el('span', {class: 'meter', 'aria-hidden': 'true'}, fill);
}

function sqnrCell(error) {
  const db = sqnrOf(error);
  return [decibels(db), meter(db)];
}

function clippedCell(layer) {
  const share = clipped(layer);
  return [el('span', {class: share > 0.01 ? 'warn' : null}, percent(share))];
}

function speedCell(layer) {
  const ratio = speedup(layer);
  return [el('span', {class: ratio !== null && ratio < 0.95 ? 'warn' : null}, times(ratio))];
}

const COLUMNS = [
  {key: 'order', label: '#', title: 'Place in the network', sort: (l) => l.index, cell: (l) => [String(l.index + 1)]},
  {key: 'sqnr', group: 'error', label: 'SQNR', second: 'accumulated', title: 'Of the whole run', sort: (l) => sqnrOf(l.accumulated),
    cell: (l) => sqnrCell(l.accumulated)},
  {key: 'local', group: 'error', label: 'SQNR', second: 'alone', title: 'Of this layer with the inputs of the float network',
    sort: (l) => sqnrOf(l.local), cell: (l) => sqnrCell(l.local)},
  {key: 'cosine', group: 'error', label: 'Cosine', second: 'accumulated', title: 'Of the angle between both results',
    sort: (l) => l.accumulated && l.accumulated.cosine, cell: (l) => [fixed(l.accumulated && l.accumulated.cosine, 5)]},
  {key: 'mean', group: 'error', label: 'Mean error', second: 'max error', title: 'Of all elements', down: true,
    sort: (l) => l.accumulated && l.accumulated.max_abs_error,
    cell: (l) => (l.accumulated ? two(number(l.accumulated.mean_abs_error), number(l.accumulated.max_abs_error)) : [NONE])},
  {key: 'scale', group: 'range', label: 'Scale', second: 'zero point', title: 'Of the result', down: true,
    sort: (l) => l.range && l.range.scale, cell: (l) => (l.range ? two(number(l.range.scale, 4), String(l.range.zero_point)) : [NONE])},
  {key: 'range', group: 'range', label: 'Integers reach', second: 'float values', title: 'What the integers reach, and what the float values were',
    down: true, sort: (l) => l.values.max - l.values.min,
    cell: (l) => two(l.range ? `${number(l.range.low)} to ${number(l.range.high)}` : NONE,
        `${number(l.values.min)} to ${number(l.values.max)}`)},
  {key: 'clipped', group: 'range', label: 'Clipped', second: 'values', title: 'Float values that the integers do not reach', down: true,
    sort: clipped, cell: clippedCell},
  {key: 'spread', group: 'range', label: 'Weight', second: 'scale spread', title: 'Largest weight scale over the smallest', down: true,
    sort: (l) => l.weight && l.weight.scale_spread, cell: (l) => [times(l.weight && l.weight.scale_spread)]},
  {key: 'time', group: 'time', label: 'int8 time', second: 'float time', title: 'Medians of single runs', down: true, sort: (l) => l.microseconds,
    cell: (l) => two(time(l.microseconds), time(l.reference_microseconds))},
  {key: 'speed', group: 'time', label: 'Speed-up', title: 'Float time over int8 time', sort: speedup, cell: speedCell},
  {key: 'kernel', group: 'time', label: 'Kernel', second: 'float kernel', title: 'What computed it', text: true,
    sort: (l) => l.kernel || l.engine || null, cell: (l) => two(l.kernel || l.engine || NONE, l.reference_kernel || '')},
  {key: 'output', group: 'size', label: 'Output', second: 'type', title: 'Type and sizes', text: true, sort: (l) => l.dtype,
    cell: (l) => two(sizes(l.sizes), l.dtype)},
  {key: 'parameters', group: 'size', label: 'Parameters', second: 'bytes', title: 'Weights and biases', down: true,
    sort: (l) => l.parameters || null, cell: (l) => (l.parameters ? two(grouped(l.parameters), bytes(l.weight_bytes)) : [NONE])},
];

const NAME_COLUMN = {key: 'name', label: 'Layer', title: 'Name, operator and what is fused into it', sort: (l) => l.name};
const GROUPS = {error: 'Error', range: 'Range', time: 'Time', size: 'Size'};
const KINDS = {
  work: ['Layers', (l) => !isConversion(l)],
  all: ['Layers and conversions', () => true],
  integer: ['int8 layers', (l) => l.quantized],
  float: ['Float layers', (l) => !l.quantized && !isConversion(l)],
  weights: ['Layers with weights', (l) => l.weight !== null],
  weak: ['Below 20 dB', (l) => sqnrOf(l.accumulated) !== null && sqnrOf(l.accumulated) < 20],
};

// Shows the layers; `onSelect(index)` is called when a row is opened or closed by hand.
function showTable(layers, onSelect) {
  const table = byId('layers');
  const head = table.tHead;
  const body = table.tBodies[0];
  const open = new Set();
  let sorted = {column: COLUMNS.find((c) => c.key === 'sqnr'), down: false};
  let selected = null;
  const narrow = window.matchMedia('(max-width: 720px)').matches;
  const shown = new Set(narrow ? ['error'] : Object.keys(GROUPS));

  for (const [key, text] of Object.entries(GROUPS)) {
    const box = el('input', {type: 'checkbox', checked: shown.has(key)});
    box.addEventListener('change', () => {
      if (box.checked) shown.add(key);
      else shown.delete(key);
      draw();
    });
    byId('column-groups').append(el('label', {class: 'check'}, box, text));
  }
  for (const [key, [text, test]] of Object.entries(KINDS)) {
    byId('kind').append(el('option', {value: key}, `${text} (${layers.filter(test).length})`));
  }
  const visible = () => COLUMNS.filter((c) => !c.group || shown.has(c.group));

  function heading(column) {
    const button = el('button', {type: 'button', title: column.title, onclick: () => {
      sorted = {column, down: sorted.column === column ? !sorted.down : Boolean(column.down)};
      draw();
    }}, el('span', {class: 'label'}, column.label), column.second ? el('span', {class: 'second'}, column.second) : null);
    const text = column === NAME_COLUMN || column.text;
    return el('th', {scope: 'col', class: column === NAME_COLUMN ? 'first' : text ? null : 'num',
      'aria-sort': sorted.column === column ? (sorted.down ? 'descending' : 'ascending') : null}, button);
  }

  function rowOf(layer) {
    const toggle = () => {
      if (open.has(layer.index)) open.delete(layer.index);
      else open.add(layer.index);
      selected = layer.index;
      draw();
      const button = body.querySelector(`tr[data-layer="${layer.index}"] .layer`);
      if (button) button.focus({preventScroll: true});
      onSelect(layer.index);
    };
    const under = [layer.op, layer.detail].filter(Boolean).join(' + ');
    const name = el('td', {class: 'first'}, el('button', {type: 'button', class: 'layer', 'aria-expanded': String(open.has(layer.index))},
        ...breakable(layer.name)), el('div', {class: 'under'}, under));
    const row = el('tr', {class: layer.index === selected ? 'row selected' : 'row', 'data-layer': layer.index, onclick: toggle}, name);
    for (const column of visible()) {
      row.append(el('td', {class: column.key === 'kernel' ? 'kernel' : column.text ? null : 'num'}, ...column.cell(layer)));
    }
    return row;
  }

  function order(a, b) {
    const x = sorted.column.sort(a);
    const y = sorted.column.sort(b);
    const missing = (v) => v === null || v === undefined;
    if (missing(x) || missing(y)) return missing(x) - missing(y) || a.index - b.index;
    const less = x < y ? -1 : x > y ? 1 : 0;
    return (sorted.down ? -less : less) || a.index - b.index;
  }

  function draw() {
    head.replaceChildren(el('tr', {}, heading(NAME_COLUMN), ...visible().map(heading)));
    const wanted = byId('search').value.trim().toLowerCase();
    const kind = KINDS[byId('kind').value][1];
    const rows = layers.filter((l) => kind(l) && `${l.name} ${l.op} ${l.detail} ${l.kernel} ${l.reference_kernel}`
        .toLowerCase().includes(wanted)).sort(order);
    body.replaceChildren();
    const columns = visible().length + 1;
    for (const layer of rows) {
      body.append(rowOf(layer));
      if (open.has(layer.index)) {
        body.append(el('tr', {class: 'detail'}, el('td', {colspan: columns}, panelOf(layer))));
      }
    }
    if (rows.length === 0) {
      body.append(el('tr', {class: 'empty'}, el('td', {colspan: columns},
          layers.length === 0 ? 'The network has no layers.' : 'No layer is like that; change the filter above.')));
    }
    byId('count').textContent = `${rows.length} of ${layers.length} shown. A click on a row opens it; the table scrolls sideways.`;
    measure();
  }
  const measure = () => table.style.setProperty('--panel', `${byId('table-scroll').clientWidth}px`);
  window.addEventListener('resize', measure);
  for (const id of ['search', 'kind', 'log-counts']) byId(id).addEventListener('input', draw);
  draw();

  return {
    // Opens the row and brings it into view, past the filter if need be.
    reveal(index) {
      selected = index;
      open.add(index);
      if (!KINDS[byId('kind').value][1](layers[index])) byId('kind').value = 'all';
      byId('search').value = '';
      draw();
      body.querySelector(`tr[data-layer="${index}"]`).scrollIntoView({block: 'center', behavior: motion()});
    },
  };
}
