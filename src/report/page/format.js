'use strict';
// Numbers and elements. Every name that comes from a file goes through textContent or setAttribute, never through
// markup.
const report = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);
const NONE = '\u2013';
const MINUS = '\u2212';

// One element with properties and children; a child may be a text.
function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === 'onclick') e.addEventListener('click', value);
    else e.setAttribute(key, value === true ? '' : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

function svg(tag, attributes, ...children) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

const isNumber = (x) => typeof x === 'number';

// Three or so significant digits, without an exponent where that is short enough.
function number(x, digits = 3) {
  if (!isNumber(x)) return NONE;
  if (x === 0) return '0';
  const size = Math.abs(x);
  let text;
  if (size >= 1e6 || size < 1e-4) {
    text = x.toExponential(Math.max(0, digits - 2)).replace('e+', 'e');
  } else {
    const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
    text = x.toFixed(Math.min(decimals, 8));
  }
  return text.replace('-', MINUS);
}

const fixed = (x, decimals) => (isNumber(x) ? x.toFixed(decimals).replace('-', MINUS) : NONE);

function grouped(x) {
  return isNumber(x) ? String(x).replace(/\B(?=(\d{3})+$)/g, '\u202F') : NONE;
}

function bytes(x) {
  if (!isNumber(x)) return NONE;
  const units = ['bytes', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (x >= 1024 && unit < 3) {
    x /= 1024;
    ++unit;
  }
  return (unit === 0 ? String(x) : number(x).replace(/\.0+$/, '')) + '\u00A0' + units[unit];
}

function time(us) {
  if (!isNumber(us)) return NONE;
  if (us < 1000) return number(us) + '\u00A0\u00B5s';
  return us < 1e6 ? number(us / 1000) + '\u00A0ms' : number(us / 1e6) + '\u00A0s';
}

function percent(share) {
  if (!isNumber(share)) return NONE;
  if (share === 0) return '0\u00A0%';
  return share < 0.00005 ? '<\u00A00.01\u00A0%' : fixed(share * 100, share < 0.1 ? 2 : 1) + '\u00A0%';
}

const sizes = (s) => (s ? s.map((n) => (n < 0 ? '?' : n)).join('\u00D7') || 'scalar' : '?');
const times = (x) => (isNumber(x) ? number(x) + '\u00D7' : NONE);
const count = (n, one) => grouped(n) + '\u00A0' + one + (n === 1 ? '' : 's');

// No error at all has no SQNR in JSON; it sorts after every number.
function sqnrOf(error) {
  if (!error) return null;
  if (isNumber(error.sqnr_db)) return error.sqnr_db;
  return error.max_abs_error === 0 ? Infinity : null;
}
const decibels = (db) => (db === Infinity ? 'exact' : isNumber(db) ? fixed(db, 1) + '\u00A0dB' : NONE);

const LEVELS = [
  {name: 'good', from: 30, text: '30 dB or more'},
  {name: 'fair', from: 20, text: '20 to 30 dB'},
  {name: 'weak', from: 10, text: '10 to 20 dB'},
  {name: 'poor', from: -Infinity, text: 'below 10 dB'},
];
const levelOf = (db) => (isNumber(db) ? LEVELS.find((level) => db >= level.from).name : 'none');

// A long name with places where it may break.
function breakable(name) {
  const parts = name.split(/(?<=[/.:_])/);
  return parts.flatMap((part, i) => (i === 0 ? [part] : [el('wbr', {}), part]));
}

// "/layer1/layer1.0/conv1/Conv" is layer1.0/conv1 where there is little room.
function shortName(layer, room) {
  let name = layer.name.replace(/^\/+/, '');
  const tail = '/' + layer.op;
  if (name.endsWith(tail)) name = name.slice(0, -tail.length);
  const parts = name.split('/');
  while (parts.length > 1 && parts.join('/').length > room) parts.shift();
  name = parts.join('/');
  return name.length > room ? '\u2026' + name.slice(name.length - room + 1) : name;
}

// At once while the page comes up, and for those who asked for it.
let settled = false;
const motion = () => (settled && !window.matchMedia('(prefers-reduced-motion: reduce)').matches ? 'smooth' : 'auto');

const isConversion = (layer) => layer.op === 'QuantizeLinear' || layer.op === 'DequantizeLinear';
const speedup = (layer) =>
  isNumber(layer.microseconds) && isNumber(layer.reference_microseconds) && layer.microseconds > 0
    ? layer.reference_microseconds / layer.microseconds : null;
const clipped = (layer) => (layer.range ? layer.range.clipped_below + layer.range.clipped_above : null);
