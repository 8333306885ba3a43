// What a row of the table opens: every figure of the layer, then its charts.
function fact(name, value, extra) {
  return el('div', {}, el('dt', {}, name), el('dd', {}, value, extra ? el('span', {class: 'muted'}, ' ' + extra) : null));
}

function errorFacts(title, error) {
  if (!error) return [];
  return [
    fact(`SQNR, ${title}`, decibels(sqnrOf(error)), levelOf(sqnrOf(error))),
    fact(`Cosine, ${title}`, fixed(error.cosine, 6)),
    fact(`Mean / max error, ${title}`, `${number(error.mean_abs_error)} / ${number(error.max_abs_error)}`),
  ];
}

function factsOf(layer) {
  const facts = [...errorFacts('accumulated', layer.accumulated), ...errorFacts('alone', layer.local)];
  if (layer.range) {
    const r = layer.range;
    facts.push(fact('Scale, zero point', `${number(r.scale, 5)}, ${r.zero_point}`),
        fact('Integers reach', `${number(r.low)} to ${number(r.high)}`),
        fact('Clipped below, above', `${percent(r.clipped_below)}, ${percent(r.clipped_above)}`));
  }
  facts.push(fact('Float values', `${number(layer.values.min)} to ${number(layer.values.max)}`));
  if (layer.values.not_finite > 0) facts.push(fact('Not finite', count(layer.values.not_finite, 'value')));
  facts.push(fact('Output', `${layer.dtype} ${sizes(layer.sizes)}`));
  if (layer.weight) {
    facts.push(fact('Weight', `${layer.weight.dtype} ${sizes(layer.weight.sizes)}`),
        fact('Parameters', grouped(layer.parameters), bytes(layer.weight_bytes)));
    if (isNumber(layer.weight.sqnr_db)) facts.push(fact('SQNR of the weight', decibels(layer.weight.sqnr_db)));
  }
  if (layer.multiply_adds > 0) facts.push(fact('Multiply-adds', shortCount(layer.multiply_adds, 3)));
  if (isNumber(layer.microseconds)) {
    facts.push(fact('Time', time(layer.microseconds),
        isNumber(layer.reference_microseconds) ? `float ${time(layer.reference_microseconds)}` : null));
  }
  if (layer.kernel || layer.engine) facts.push(fact('Kernel', layer.kernel || layer.engine));
  if (layer.reference_kernel) facts.push(fact('Float kernel', layer.reference_kernel));
  if (layer.reference && layer.reference !== layer.name) facts.push(fact('Compared with', layer.reference));
  return el('dl', {class: 'facts'}, ...facts);
}

function figure(title, note, chart) {
  return el('figure', {}, el('figcaption', {}, el('b', {}, title), el('span', {class: 'muted'}, note)), chart);
}

function chartsOf(layer) {
  const logarithmic = byId('log-counts').checked;
  const r = layer.range;
  const band = r ? {low: r.low, high: r.high, text: `${layer.dtype} range`} : null;
  const values = layer.values;
  const spread = `${number(values.min)} to ${number(values.max)}`;
  const charts = [figure('Activations', `${grouped(values.count)} float values, ${spread}`,
      histogramChart(`Histogram of the activations, ${spread}` +
          (r ? `; the integers reach ${number(r.low)} to ${number(r.high)}` : ''), values, band, logarithmic))];
  const w = layer.weight;
  if (w) {
    const one = w.scales.length === 1 ? w.scales[0] : null;
    const weightSpread = `${number(w.values.min)} to ${number(w.values.max)}`;
    charts.push(figure('Weight', `${grouped(w.values.count)} float values, ${weightSpread}`,
        histogramChart(`Histogram of the weight, ${weightSpread}`, w.values,
            one ? {low: -128 * one, high: 127 * one, text: `${w.dtype} range`} : null, logarithmic)));
    if (w.scales.length > 1) {
      const least = Math.min(...w.scales);
      const most = Math.max(...w.scales);
      const text = `${w.scales.length} channels, ${number(least)} to ${number(most)}, spread ${times(most / least)}`;
      charts.push(figure('Weight scale of each output channel', text, scaleChart(`Weight scales: ${text}`, w.scales)));
    }
  }
  return el('div', {class: 'charts'}, ...charts);
}

const panelOf = (layer) => el('div', {class: 'panel'}, factsOf(layer), chartsOf(layer));
