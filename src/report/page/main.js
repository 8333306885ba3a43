// The page: totals, findings, the network and the table, which follow each other's selection.
const layers = report.layers.map((layer, index) => ({...layer, index}));
const work = layers.filter((l) => !isConversion(l));
const integer = work.filter((l) => l.quantized);

const base = (path) => path.replace(/\/+$/, '').split('/').pop() || path;
const arrow = () => el('span', {class: 'arrow'}, ' \u2192 ');

function tile(name, value, note) {
  byId('tiles').append(el('div', {class: 'tile'}, el('dt', {}, name),
      el('dd', {}, el('div', {class: 'value'}, ...value), el('div', {class: 'note'}, note))));
}

// "3.73x smaller", or larger where it is.
function ratio(before, after, less, more) {
  if (!(before > 0) || !(after > 0)) return '';
  if (Math.abs(before / after - 1) < 0.01) return 'as much as before';
  return before >= after ? `${times(before / after)} ${less}` : `${times(after / before)} ${more}`;
}

function showTotals() {
  const {reference, other} = report;
  byId('title').append(base(reference.name), arrow(), base(other.name));
  document.title = `${base(other.name)}: qconv report`;
  const inputs = report.inputs.map((i) => `${i.name} ${sizes(i.sizes)}`).join(', ');
  byId('subtitle').textContent = [`${count(report.samples, 'sample')}${report.data ? ` of ${report.data}` : ''}`, inputs,
    ...[reference.name, other.name].filter((name) => base(name) !== name)].join('  \u00B7  ');
  for (const output of report.outputs) {
    const label = report.outputs.length > 1 ? `Output ${output.name}` : 'Output SQNR';
    tile(label, [decibels(sqnrOf(output.error))], `cosine ${fixed(output.error.cosine, 6)}`);
    if (output.top1 && output.top1.samples > 0) {
      tile(report.outputs.length > 1 ? `Top-1 agreement, ${output.name}` : 'Top-1 agreement',
          [fixed((100 * output.top1.same) / output.top1.samples, 1) + '\u00A0%'],
          `${grouped(output.top1.same)} of ${count(output.top1.samples, 'sample')}`);
    }
  }
  if (reference.file_bytes && other.file_bytes) {
    tile('File', [bytes(reference.file_bytes), arrow(), bytes(other.file_bytes)],
        ratio(reference.file_bytes, other.file_bytes, 'smaller', 'larger'));
  } else {
    tile('Weights', [bytes(reference.weight_bytes), arrow(), bytes(other.weight_bytes)],
        ratio(reference.weight_bytes, other.weight_bytes, 'smaller', 'larger'));
  }
  if (isNumber(other.microseconds)) {
    tile('Time', [time(reference.microseconds), arrow(), time(other.microseconds)],
        ratio(reference.microseconds, other.microseconds, 'faster', 'slower') + `, median of ${count(report.timed_runs, 'run')}`);
  }
  tile('Memory of activations', [bytes(reference.activation_bytes), arrow(), bytes(other.activation_bytes)],
      ratio(reference.activation_bytes, other.activation_bytes, 'smaller', 'larger'));
  tile('Layers in int8', [`${integer.length} of ${work.length}`],
      `${layers.length - work.length} conversions, ${grouped(other.parameters)} parameters`);
  byId('made-by').textContent = `Made by qconv ${report.qconv}. The same content for programs is in report.json.`;
}

function finding(level, word, text, list, figure) {
  const item = el('li', {}, el('span', {class: `badge ${level}`}, word));
  const line = el('span', {}, text);
  list.slice(0, 4).forEach((layer, i) => {
    line.append(i === 0 ? ' ' : ', ', el('button', {type: 'button', class: 'link', onclick: () => select(layer.index, 'finding')},
        shortName(layer, 80)), figure ? ` (${figure(layer)})` : '');
  });
  if (list.length > 4) line.append(` and ${list.length - 4} more`);
  item.append(line);
  byId('findings').append(item);
}

function showFindings() {
  const by = (value) => (a, b) => value(a) - value(b);
  const error = (l) => sqnrOf(l.accumulated);
  const compared = work.filter((l) => error(l) !== null).sort(by(error));
  if (compared.length === 0) {
    finding('none', 'note', 'No layer has a counterpart in the float network; is one made of the other?', []);
    return;
  }
  const below = compared.filter((l) => error(l) < 20);
  const figure = (l) => decibels(error(l));
  if (below.length > 0) {
    finding(levelOf(error(below[0])), levelOf(error(below[0])), `${count(below.length, 'layer')} below 20 dB:`, below, figure);
  } else {
    finding(levelOf(error(compared[0])), levelOf(error(compared[0])), 'The weakest layer is', compared.slice(0, 1), figure);
  }
  const alone = work.filter((l) => sqnrOf(l.local) !== null).sort(by((l) => sqnrOf(l.local)));
  if (alone.length > 0) {
    const db = (l) => sqnrOf(l.local);
    finding(levelOf(db(alone[0])), levelOf(db(alone[0])), 'Most is lost by itself in', alone.slice(0, 3), (l) => decibels(db(l)));
  }
  const cut = work.filter((l) => clipped(l) > 0.01).sort(by((l) => -clipped(l)));
  if (cut.length > 0) {
    finding('weak', 'range', `${count(cut.length, 'layer')} with more than 1 % of the values clipped:`, cut, (l) => percent(clipped(l)));
  }
  const uneven = work.filter((l) => l.weight && l.weight.scale_spread > 100).sort(by((l) => -l.weight.scale_spread));
  if (uneven.length > 0) {
    finding('weak', 'weight', 'Weight scales differ by more than 100\u00D7 between channels in', uneven, (l) => times(l.weight.scale_spread));
  }
  const slow = work.filter((l) => l.quantized && speedup(l) !== null && speedup(l) < 0.95 &&
      l.microseconds - l.reference_microseconds > 0.01 * report.other.microseconds).sort(by(speedup));
  if (slow.length > 0) finding('weak', 'time', `${count(slow.length, 'int8 layer')} slower than in float:`, slow, (l) => times(speedup(l)));
  const floating = work.filter((l) => !l.quantized);
  if (floating.length > 0) finding('none', 'float', `${count(floating.length, 'layer')} stayed in float:`, floating);
}

function showLegend() {
  const legend = byId('legend');
  for (const level of LEVELS) {
    legend.append(el('li', {}, el('span', {class: `swatch ${level.name}`, 'aria-hidden': 'true'}), `${level.name}: ${level.text}`));
  }
  legend.append(el('li', {}, el('span', {class: 'swatch none', 'aria-hidden': 'true'}), 'not compared'),
      el('li', {}, el('span', {class: 'stroke', 'aria-hidden': 'true'}), 'int8'),
      el('li', {}, el('span', {class: 'stroke float', 'aria-hidden': 'true'}), 'float'));
}

function select(index, from) {
  // A link to this layer; a page without an address of its own cannot have one.
  if (window.location.protocol !== 'about:') window.history.replaceState(null, '', `#${encodeURIComponent(layers[index].name)}`);
  if (from !== 'table') table.reveal(index);
  network.select(index, from !== 'graph');
}

showTotals();
showFindings();
showLegend();
const network = drawNetwork(layers, report.inputs, (index) => select(index, 'graph'));
const table = showTable(layers, (index) => select(index, 'table'));
const recolour = () => network.colour(byId('colour-by').value);
byId('colour-by').addEventListener('input', recolour);
recolour();
const linked = layers.find((l) => `#${encodeURIComponent(l.name)}` === window.location.hash);
if (linked) select(linked.index, 'link');
settled = true;
