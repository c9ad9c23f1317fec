/* AbortController and AbortSignal, with as much of EventTarget as they need. */
const secret = {};
const illegal = () => TypeError('Illegal constructor');

let isStopped;
class Event {
  #stopped = false;

  constructor(type) {
    this.type = String(type);
    this.target = null;
    this.currentTarget = null;
    this.defaultPrevented = false;
  }

  preventDefault() {}

  stopPropagation() {}

  stopImmediatePropagation() {
    this.#stopped = true;
  }

  static {
    isStopped = event => #stopped in event && event.#stopped;
  }
}

export const makeAbort = ({ DOMException, complain, setTimeout }) => {
  class EventTarget {
    #listeners = [];

    addEventListener(type, listener, options) {
      if (listener === null || listener === undefined) return;
      const { once = false, signal } = Object(options) === options ? options : {};
      if (signal?.aborted) return;
      const name = String(type);
      if (this.#listeners.some(it => it.name === name && it.listener === listener)) return;
      this.#listeners.push({ name, listener, once });
      signal?.addEventListener('abort', () => this.removeEventListener(name, listener), { once: true });
    }

    removeEventListener(type, listener) {
      const name = String(type);
      this.#listeners = this.#listeners.filter(it => it.name !== name || it.listener !== listener);
    }

    /* A listener that throws is reported, and the next is called. */
    dispatchEvent(event) {
      event.target = this;
      event.currentTarget = this;
      const call = listener => {
        try {
          if (typeof listener === 'function') Reflect.apply(listener, this, [event]);
          else listener.handleEvent(event);
        } catch (e) {
          complain(e);
        }
      };
      const handler = this[`on${event.type}`];
      if (typeof handler === 'function') call(handler);
      for (const it of this.#listeners.filter(({ name }) => name === event.type)) {
        if (isStopped(event)) break;
        if (!this.#listeners.includes(it)) continue;
        if (it.once) this.removeEventListener(it.name, it.listener);
        call(it.listener);
      }
      return !event.defaultPrevented;
    }
  }

  let abort, isSignal;
  class AbortSignal extends EventTarget {
    #aborted = false;

    #reason = undefined;

    #handler = null;

    /* What follows from an abort before the listeners hear of it: signals that depend on this one. */
    #followers = [];

    static {
      abort = (signal, reason) => {
        if (signal.#aborted) return;
        signal.#aborted = true;
        signal.#reason = reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : reason;
        for (const follow of signal.#followers.splice(0)) follow(signal.#reason);
        signal.dispatchEvent(new Event('abort'));
      };
      isSignal = value => Object(value) === value && #aborted in value;
    }

    constructor(key) {
      if (key !== secret) throw illegal();
      super();
    }

    get aborted() {
      return this.#aborted;
    }

    get reason() {
      return this.#reason;
    }

    get onabort() {
      return this.#handler;
    }

    set onabort(handler) {
      this.#handler = typeof handler === 'function' ? handler : null;
    }

    throwIfAborted() {
      if (this.#aborted) throw this.#reason;
    }

    static abort(reason) {
      const signal = new AbortSignal(secret);
      abort(signal, reason);
      return signal;
    }

    static timeout(ms) {
      if (!setTimeout) throw TypeError('AbortSignal.timeout needs setTimeout: the vat did not ask for it');
      const signal = new AbortSignal(secret);
      setTimeout(() => abort(signal, new DOMException('The operation was aborted due to timeout', 'TimeoutError')), ms);
      return signal;
    }

    static any(signals) {
      const sources = [...signals];
      const signal = new AbortSignal(secret);
      for (const source of sources) {
        if (!isSignal(source)) throw TypeError('AbortSignal.any: not a signal');
      }
      const first = sources.find(source => source.#aborted);
      if (first) abort(signal, first.#reason);
      else for (const source of sources) source.#followers.push(reason => abort(signal, reason));
      return signal;
    }
  }

  class AbortController {
    #signal = new AbortSignal(secret);

    get signal() {
      return this.#signal;
    }

    abort(reason) {
      abort(this.#signal, reason);
    }
  }
  return { AbortController, AbortSignal, isSignal };
};
