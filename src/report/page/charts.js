// Small charts, drawn once a layer is opened.
const CHART = {width: 420, height: 170, left: 44, right: 10, top: 18, bottom: 26};

// Round numbers that divide the interval into about `wanted` parts.
function ticks(low, high, wanted) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / wanted;
  const power = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= raw);
  const all = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; ++k) all.push(k * step);
  return all;
}

function tickText(value, step) {
  if (value === 0) return '0';
  if (Math.abs(value) >= 1e5 || step < 1e-4) return number(value, 2);
  return fixed(value, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

// A frame with axes; x and y turn values into places.
function frame(label, xLow, xHigh, yTicks, yPlace) {
  const {width, height, left, right, top, bottom} = CHART;
  const x = (v) => left + ((v - xLow) / (xHigh - xLow)) * (width - left - right);
  const y = (v) => height - bottom - yPlace(v) * (height - top - bottom);
  const root = svg('svg', {class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label});
  for (const [value, text] of yTicks) {
    root.append(svg('line', {class: 'axis', x1: left, x2: width - right, y1: y(value), y2: y(value)}),
        svg('text', {x: left - 5, y: y(value) + 4, 'text-anchor': 'end'}, text));
  }
  const marks = ticks(xLow, xHigh, 5);
  const step = marks.length > 1 ? marks[1] - marks[0] : 1;
  for (const value of marks) {
    root.append(svg('text', {x: x(value), y: height - bottom + 16, 'text-anchor': 'middle'}, tickText(value, step)));
  }
  return {root, x, y, floor: height - bottom, top};
}

function shortCount(n, digits = 1) {
  if (n >= 1e9) return number(n / 1e9, digits) + 'G';
  if (n >= 1e6) return number(n / 1e6, digits) + 'M';
  return n >= 1000 ? number(n / 1000, digits) + 'k' : String(n);
}

// Bars of a histogram; `band` is what the integers reach: {low, high, text}.
function histogramChart(label, values, band, logarithmic) {
  const h = values.histogram;
  if (h.counts.length === 0) return el('p', {class: 'muted small'}, 'No finite values.');
  const least = h.width > 0 ? h.width : 1;
  let low = h.first;
  let high = h.first + least * h.counts.length;
  if (band) {
    low = Math.min(low, band.low);
    high = Math.max(high, band.high);
  }
  const margin = (high - low) * 0.03;
  const most = Math.max(...h.counts);
  const place = logarithmic ? (n) => (n === 0 ? 0 : (Math.log10(n) + 0.3) / (Math.log10(most) + 0.3 || 1)) : (n) => n / most;
  const marks = [];
  if (logarithmic) {
    const decades = Math.floor(Math.log10(most));
    const skip = Math.ceil((decades + 1) / 4);
    for (let d = 0; d <= decades; d += skip) marks.push([Math.pow(10, d), shortCount(Math.pow(10, d))]);
  } else {
    for (const n of ticks(0, most, 3)) marks.push([n, shortCount(n)]);
  }
  const f = frame(label, low - margin, high + margin, marks, place);
  if (band) {
    f.root.append(svg('rect', {class: 'band', x: f.x(band.low), y: f.top, width: Math.max(1, f.x(band.high) - f.x(band.low)),
        height: f.floor - f.top}));
  }
  let path = '';
  h.counts.forEach((n, i) => {
    if (n === 0) return;
    const x0 = f.x(h.first + i * least);
    const width = Math.max(0.8, f.x(h.first + (i + 1) * least) - x0 - 0.4);
    path += `M${x0.toFixed(2)} ${f.floor}V${f.y(n).toFixed(2)}h${width.toFixed(2)}V${f.floor}Z`;
  });
  f.root.append(svg('path', {class: 'bars', d: path}));
  if (band) {
    for (const edge of [band.low, band.high]) {
      f.root.append(svg('line', {class: 'band-edge', x1: f.x(edge), x2: f.x(edge), y1: f.top, y2: f.floor}));
    }
    f.root.append(svg('text', {class: 'band-text', x: (f.x(band.low) + f.x(band.high)) / 2, y: 12, 'text-anchor': 'middle'},
        band.text));
  }
  return f.root;
}

// One bar per channel, in the order of the channels.
function scaleChart(label, scales) {
  const most = Math.max(...scales);
  const yTicks = ticks(0, most, 3);
  const f = frame(label, 0, scales.length, yTicks.map((t) => [t, t === 0 ? '0' : number(t, 2)]), (v) => v / most);
  let path = `M${f.x(0)} ${f.floor}`;
  scales.forEach((s, i) => {
    path += `V${f.y(s).toFixed(2)}H${f.x(i + 1).toFixed(2)}`;
  });
  f.root.append(svg('path', {class: 'bars', d: path + `V${f.floor}Z`}));
  return f.root;
}
