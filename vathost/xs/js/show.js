/* Values as a person reads them on the console. Looks at own data properties only, so that showing a
 * virtual object reads no state; runs no getter; is bounded in depth, breadth and length. */
import { getInterfaceOf, passStyleOf } from '@endo/pass-style';

const TEXT_MAX = 8 * 1024;
const DEPTH_MAX = 5;
const MEMBERS_MAX = 100;

const { getOwnPropertyDescriptor, getPrototypeOf } = Object;
const { isArray } = Array;
const { ownKeys } = Reflect;
const quote = s => JSON.stringify(s);
const isName = s => /^[A-Za-z_$][\w$]*$/.test(s);

const safely = (f, otherwise) => {
  try {
    return f();
  } catch (_e) {
    return otherwise;
  }
};
const dataOf = (o, key) => {
  const descriptor = getOwnPropertyDescriptor(o, key);
  return descriptor && 'value' in descriptor ? descriptor.value : undefined;
};
const showSymbol = s => {
  const name = Symbol.keyFor(s);
  return name === undefined ? String(s) : `Symbol.for(${quote(name)})`;
};
const isError = o => o instanceof Error;
/* The lockdown made names and messages accessors along the prototypes, so these are read plainly. */
const showError = e => {
  const { name, message } = e;
  const head = typeof name === 'string' && name ? name : 'Error';
  return typeof message === 'string' && message ? `${head}: ${message}` : head;
};

const showMembers = (o, depth, seen) => {
  const list = isArray(o);
  const keys = ownKeys(o).filter(key => key !== 'length' || !list);
  const shown = keys.slice(0, MEMBERS_MAX).flatMap(key => {
    const descriptor = getOwnPropertyDescriptor(o, key);
    if (!descriptor || (!descriptor.enumerable && !list)) return [];
    const value = 'value' in descriptor ? show(descriptor.value, depth + 1, seen) : '[Getter]';
    if (list) return [value];
    const name = typeof key === 'symbol' ? `[${showSymbol(key)}]` : isName(key) ? key : quote(key);
    return [`${name}: ${value}`];
  });
  if (keys.length > MEMBERS_MAX) shown.push(`... ${keys.length - MEMBERS_MAX} more`);
  if (list) return `[${shown.join(', ')}]`;
  return shown.length ? `{ ${shown.join(', ')} }` : '{}';
};

const showObject = (o, depth, seen) => {
  if (isError(o)) return showError(o);
  const style = safely(() => passStyleOf(o), undefined);
  if (style === 'remotable') return `[${safely(() => getInterfaceOf(o), undefined) || 'Object'}]`;
  if (style === 'promise' || o instanceof Promise) return '[Promise]';
  if (seen.includes(o)) return '[Circular]';
  if (typeof o === 'function') return `[Function ${safely(() => dataOf(o, 'name'), '') || 'anonymous'}]`;
  if (depth >= DEPTH_MAX) return isArray(o) ? '[Array]' : '[Object]';
  if (style === 'tagged') {
    return `tagged(${quote(String(o[Symbol.toStringTag]))}, ${show(o.payload, depth + 1, seen)})`;
  }
  return showMembers(o, depth, [...seen, o]);
};

const show = (value, depth, seen) => {
  switch (typeof value) {
    case 'string':
      return quote(value.length > TEXT_MAX ? value.slice(0, TEXT_MAX) : value);
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return showSymbol(value);
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'object':
    case 'function':
      return value === null ? 'null' : safely(() => showObject(value, depth, seen), '[Object]');
    default:
      return String(value);
  }
};

/* One console line of ARGS: strings as they are, the rest as above, a space between. */
export const line = args => {
  let text = '';
  for (const arg of args) {
    if (text) text += ' ';
    text += typeof arg === 'string' ? arg.slice(0, TEXT_MAX) : show(arg, 0, []);
    if (text.length > TEXT_MAX) return `${text.slice(0, TEXT_MAX)}...`;
  }
  return text;
};

/* A value that was thrown, for a reason that people read. */
export const reason = thrown => (typeof thrown === 'string' ? thrown : show(thrown, 0, []));
