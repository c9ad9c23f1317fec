/* Errors of web interfaces: an Error whose name says what went wrong, as DOMException has it. */
const CODES = { NotSupportedError: 9, InvalidCharacterError: 5, TypeMismatchError: 17, AbortError: 20,
  QuotaExceededError: 22, TimeoutError: 23 };

export class DOMException extends Error {
  #name;

  constructor(message = '', name = 'Error') {
    super(message);
    this.#name = name;
  }

  get name() {
    return this.#name;
  }

  get code() {
    return CODES[this.#name] ?? 0;
  }
}
