// The network as layers from top to bottom. Ranks come from the longest way to a node; an edge over several ranks
// gets a point in each of them, so that it has room beside the nodes.
const NODE = {width: 176, height: 42, gap: 22, rank: 74, lane: 20, margin: 14};

// Where x[i + 1] - x[i] must be at least gaps[i], the places nearest to the wanted ones, by weight: neighbours
// that would overlap move as one block.
function settle(wanted, weights, gaps) {
  const blocks = [];
  let offset = 0;
  const offsets = wanted.map((w, i) => (i === 0 ? 0 : (offset += gaps[i - 1])));
  wanted.forEach((w, i) => {
    blocks.push({sum: (w - offsets[i]) * weights[i], weight: weights[i], count: 1});
    while (blocks.length > 1) {
      const last = blocks[blocks.length - 1];
      const before = blocks[blocks.length - 2];
      if (before.sum / before.weight <= last.sum / last.weight) break;
      blocks.splice(-2, 2,
          {sum: before.sum + last.sum, weight: before.weight + last.weight, count: before.count + last.count});
    }
  });
  const places = [];
  for (const block of blocks) {
    for (let k = 0; k < block.count; ++k) places.push(block.sum / block.weight + offsets[places.length]);
  }
  return places;
}

function layoutNetwork(layers, inputs) {
  const vertices = [];
  const links = [];
  const add = (rank, layer, width) => {
    vertices.push({rank, layer, width, up: [], down: [], x: 0});
    return vertices.length - 1;
  };
  const rankOf = [];
  const sourceRank = (s) => (s < 0 ? 0 : rankOf[s]);
  layers.forEach((layer, i) => {
    rankOf[i] = 1 + Math.max(0, ...layer.sources.map(sourceRank));
  });
  const inputVertices = inputs.map((input, i) => add(0, -1 - i, NODE.width));
  const layerVertices = layers.map((layer, i) => add(rankOf[i], i, NODE.width));
  const join = (above, below) => {
    vertices[above].down.push(below);
    vertices[below].up.push(above);
  };
  // One lane per source, however many read it.
  const lanes = new Map();
  layers.forEach((layer, i) => {
    for (const s of new Set(layer.sources)) {
      if (!lanes.has(s)) lanes.set(s, [s < 0 ? inputVertices[-1 - s] : layerVertices[s]]);
      const lane = lanes.get(s);
      while (sourceRank(s) + lane.length < rankOf[i]) {
        lane.push(add(sourceRank(s) + lane.length, null, NODE.lane));
        join(lane[lane.length - 2], lane[lane.length - 1]);
      }
      const way = [...lane.slice(0, rankOf[i] - sourceRank(s)), layerVertices[i]];
      join(way[way.length - 2], way[way.length - 1]);
      links.push({from: s, to: i, way});
    }
  });

  const ranks = [];
  vertices.forEach((v, i) => (ranks[v.rank] = ranks[v.rank] || []).push(i));
  const mean = (list, of) => list.reduce((sum, i) => sum + of(i), 0) / list.length;
  for (let sweep = 0; sweep < 8; ++sweep) {
    const downwards = sweep % 2 === 0;
    const order = downwards ? ranks : [...ranks].reverse();
    const place = new Map();
    ranks.forEach((rank) => rank.forEach((i, k) => place.set(i, k)));
    for (const rank of order) {
      const key = new Map(rank.map((i, k) => {
        const near = downwards ? vertices[i].up : vertices[i].down;
        return [i, near.length > 0 ? mean(near, (n) => place.get(n)) : k];
      }));
      rank.sort((a, b) => key.get(a) - key.get(b));
      rank.forEach((i, k) => place.set(i, k));
    }
  }
  for (let sweep = 0; sweep < 24; ++sweep) {
    const downwards = sweep % 2 === 0;
    for (const rank of downwards ? ranks : [...ranks].reverse()) {
      const wanted = [];
      const weights = [];
      const alone = rank.filter((i) => vertices[i].layer !== null).length === 1;
      for (const i of rank) {
        const v = vertices[i];
        const near = downwards ? v.up : v.down;
        // The node straight above or below counts more than a lane, so that chains stay upright.
        const weight = (n) => (vertices[n].layer === null) === (v.layer === null) ? 1000 : 1;
        const total = near.reduce((sum, n) => sum + weight(n), 0);
        // A layer without others beside it belongs to the spine, however its neighbours spread.
        wanted.push(alone && v.layer !== null ? 0 : total > 0 ? near.reduce((sum, n) => sum + weight(n) * vertices[n].x, 0) / total : v.x);
        weights.push(v.layer === null ? 1 : 1000);
      }
      const gaps = rank.slice(1).map((i, k) => (vertices[i].width + vertices[rank[k]].width) / 2 + NODE.gap / 2);
      settle(wanted, weights, gaps).forEach((x, k) => (vertices[rank[k]].x = x));
    }
  }
  const left = vertices.reduce((least, v) => Math.min(least, v.x - v.width / 2), 0) - NODE.margin;
  for (const v of vertices) v.x -= left;
  const width = vertices.reduce((most, v) => Math.max(most, v.x + v.width / 2), 0) + NODE.margin;
  return {vertices, links, width, height: ranks.length * NODE.rank - (NODE.rank - NODE.height) + 2 * NODE.margin};
}

function pathOf(vertices, way) {
  const top = (v) => NODE.margin + v.rank * NODE.rank;
  const first = vertices[way[0]];
  let y = top(first) + NODE.height;
  let d = `M${first.x.toFixed(1)} ${y}`;
  let x = first.x;
  for (const i of way.slice(1)) {
    const v = vertices[i];
    const end = i === way[way.length - 1];
    const next = top(v) - (end ? 5 : 0);
    const bend = (next - y) / 2;
    d += `C${x.toFixed(1)} ${y + bend} ${v.x.toFixed(1)} ${next - bend} ${v.x.toFixed(1)} ${next}`;
    y = next;
    if (!end) {
      y += NODE.height;
      d += `V${y}`;
    }
    x = v.x;
  }
  return {d, x, y};
}

// Draws the network into the pane. `onSelect(index)` is called for a click or Enter.
function drawNetwork(layers, inputs, onSelect) {
  const pane = byId('graph');
  const {vertices, links, width, height} = layoutNetwork(layers, inputs);
  const root = svg('svg', {viewBox: `0 0 ${width} ${height}`, role: 'group', 'aria-label': 'Network'});
  const edges = links.map((link) => {
    const {d, x, y} = pathOf(vertices, link.way);
    const dtype = link.from < 0 ? inputs[-1 - link.from].dtype : layers[link.from].dtype;
    const edge = svg('path', {class: dtype.startsWith('q') ? 'edge' : 'edge float', d});
    root.append(edge, svg('path', {class: 'tip', d: `M${x} ${y + 5}l-4 -7h8z`}));
    return {edge, link};
  });
  const nodes = [];
  const stopAt = (index) => {
    nodes.forEach(({group}, i) => group.setAttribute('tabindex', i === index ? '0' : '-1'));
    nodes[index].group.focus();
  };
  for (const v of vertices) {
    if (v.layer === null) continue;
    const x = v.x - NODE.width / 2;
    const y = NODE.margin + v.rank * NODE.rank;
    const layer = v.layer >= 0 ? layers[v.layer] : {name: inputs[-1 - v.layer].name, op: 'Input', ...inputs[-1 - v.layer]};
    const figureText = svg('text', {class: 'figure', x: x + NODE.width - 9, y: y + 17});
    const title = svg('title', {});
    const group = svg('g', {class: 'node'}, title,
        svg('rect', {x, y, width: NODE.width, height: NODE.height, rx: v.layer < 0 ? NODE.height / 2 : 7}),
        svg('text', {class: 'head', x: x + 9, y: y + 17}, shortOp(layer)), figureText,
        svg('text', {class: 'name', x: x + 9, y: y + 33}, v.layer < 0 ? `${layer.name} ${sizes(layer.sizes)}` :
            shortName(layer, 25)));
    root.append(group);
    if (v.layer < 0) {
      group.setAttribute('class', 'node none input');
      title.textContent = layer.name;
      continue;
    }
    // One stop for the Tab key; arrows go on from there.
    group.setAttribute('tabindex', nodes.length === 0 ? '0' : '-1');
    group.setAttribute('role', 'button');
    group.addEventListener('click', () => onSelect(v.layer));
    group.addEventListener('keydown', (event) => {
      const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
      if (step === undefined && event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      if (step === undefined) onSelect(v.layer);
      else if (nodes[v.layer + step]) stopAt(v.layer + step);
    });
    nodes[v.layer] = {group, figureText, title, x: v.x, y: y + NODE.height / 2};
  }
  pane.append(root);

  let zoom = 1;
  const setZoom = (z) => {
    const middle = (pane.scrollTop + pane.clientHeight / 2) / (zoom * height);
    zoom = Math.min(3, Math.max(0.1, z));
    root.setAttribute('width', width * zoom);
    root.setAttribute('height', height * zoom);
    pane.scrollTop = middle * zoom * height - pane.clientHeight / 2;
  };
  const fit = () => setZoom(Math.min(1, (pane.clientWidth - 2) / width));
  // Small print is of no use: rather scroll.
  setZoom(Math.max(0.8, Math.min(1, (pane.clientWidth - 2) / width)));
  pane.scrollTop = 0;
  const top = vertices[layerTop(vertices)];
  if (top) pane.scrollLeft = top.x * zoom - pane.clientWidth / 2;
  byId('zoom-in').addEventListener('click', () => setZoom(zoom * 1.25));
  byId('zoom-out').addEventListener('click', () => setZoom(zoom / 1.25));
  byId('zoom-fit').addEventListener('click', fit);

  return {
    colour(which) {
      nodes.forEach(({group, figureText, title}, i) => {
        const layer = layers[i];
        const db = sqnrOf(layer[which]);
        const selected = group.classList.contains('selected') ? ' selected' : '';
        group.setAttribute('class', `node ${levelOf(db)}${layer.quantized || isConversion(layer) ? '' : ' float'}${selected}`);
        figureText.textContent = isNumber(db) ? decibels(db) : '';
        const text = `${layer.name} (${layer.op}), ${isNumber(db) ? `${decibels(db)}, ${levelOf(db)}` : 'not compared'}`;
        title.textContent = text;
        group.setAttribute('aria-label', text);
      });
    },
    select(index, scroll) {
      nodes.forEach(({group}, i) => group.classList.toggle('selected', i === index));
      for (const {edge, link} of edges) edge.classList.toggle('lit', link.from === index || link.to === index);
      if (!scroll || index === null) return;
      const node = nodes[index];
      pane.scrollTo({top: node.y * zoom - pane.clientHeight / 2, left: node.x * zoom - pane.clientWidth / 2,
        behavior: motion()});
    },
  };
}

// The first vertex of the first rank.
const layerTop = (vertices) => vertices.findIndex((v) => v.rank === 0);

// Fits beside a figure.
function shortOp(layer) {
  const op = {QuantizeLinear: 'Quantize', DequantizeLinear: 'Dequantize', GlobalAveragePool: 'GlobalAvgPool',
    BatchNormalization: 'BatchNorm', ConvTranspose: 'ConvTransp.'}[layer.op] || layer.op;
  return op.length > 13 ? op.slice(0, 12) + '\u2026' : op;
}
