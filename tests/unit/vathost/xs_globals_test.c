/* Globals that a vat asks for: what each does, that nothing else is there, and that time and chance
 * follow from the deliveries alone. */
#include <criterion/criterion.h>

#include "tests/unit/vathost/xs_asks.h"
#include "wire/base/own.h"

Test(xs_globals, absent_unless_asked_for)
{
    AUTO(xs_vat) vat = asks_start("");
    asks_expect(
        vat,
        "['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'crypto', "
        "'SubtleCrypto', 'fetch', "
        "'Request', 'Headers', 'Response', 'URL', 'URLSearchParams', 'atob', 'btoa', "
        "'AbortController', "
        "'AbortSignal', 'hostStamp', 'hostRandom', 'hostDigest', 'hostLibrary', 'web', 'vat']"
        ".filter(name => name in globalThis)",
        "[]");
    asks_expect(vat,
                "['TextEncoder', 'TextDecoder', 'Date', 'Math'].filter(name => name in globalThis)",
                "[\"TextEncoder\",\"TextDecoder\",\"Date\",\"Math\"]");
    asks_expect_throw(vat, "Date.now()", "TypeError",
                      "secure mode Calling %SharedDate%.now() throws");
    asks_expect_throw(vat, "new Date()", "TypeError",
                      "secure mode Calling new %SharedDate%() with no arguments throws");
    asks_expect_throw(vat, "Math.random()", "TypeError",
                      "secure mode %SharedMath%.random() throws");
}

/* Every name of the table is there when asked for by itself, and no other is. */
Test(xs_globals, each_by_itself)
{
    static const struct {
        const char *name;
        bool outside;
    } globals[] = {
#define GLOBAL(name, outside) {#name, outside},
#include "wire/schema/global.def"
#undef GLOBAL
    };
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++) {
        const char *name = globals[i].name;
        char source[256], expected[64];
        AUTO(xs_vat) vat = globals[i].outside ? asks_start_outside(name) : asks_start(name);
        snprintf(source, sizeof source, "[typeof globalThis['%s'], Object.isFrozen(%s)]", name,
                 name);
        snprintf(expected, sizeof expected, "[\"%s\",true]",
                 !strcmp(name, "Math") || !strcmp(name, "crypto") ? "object" : "function");
        asks_expect(vat, source, expected);
        xs_vat_message(vat, "o+0", "#[\"parameters\",[]]", NULL, "p-98");
        cr_expect_not_null(
            strstr(xs_vat_calls(vat), globals[i].outside ? "{\"n\":1}" : "\"#undefined\""));
    }
}

Test(xs_globals, date)
{
    AUTO(xs_vat) vat = asks_start("Date");
    asks_expect(vat,
                "[Date.now(), +new Date(), new Date().getTime(), Date() === new "
                "Date(Date.now()).toString()]",
                "[1700000000123,1700000000123,1700000000123,true]");
    asks_expect(vat, "new Date().toISOString()", "\"2023-11-14T22:13:20.123Z\"");
    asks_expect(
        vat, "[new Date() instanceof Date, Date.length, Date.name, typeof Date.prototype.getDay]",
        "[true,7,\"Date\",\"function\"]");
    asks_expect(
        vat,
        "[+new Date(5), +new Date('2001-02-03T04:05:06.007Z'), +new Date(2001, 1, 3, 4, 5, 6, "
        "7), Date.UTC(2001, 1), "
        "Date.parse('1970-01-01T00:00:01Z'), +new Date(new Date(9))]",
        "[5,981173106007,981173106007,980985600000,1000,9]");
    asks_expect(vat,
                "(class Later extends Date { n() { return this.getTime() + 1; } }, "
                "new (class Later extends Date { n() { return this.getTime() + 1; } })().n())",
                "1700000000124");
    /* There is one time zone. */
    asks_expect(vat,
                "[new Date(0).getTimezoneOffset(), new Date(1720000000000).getHours(), new "
                "Date(0).toString()]",
                "[0,9,\"Thu Jan 01 1970 00:00:00 GMT+0000\"]");
    /* It stands still for a crank, and moves between. */
    asks_expect(
        vat,
        "(async () => { const a = Date.now(); for (let i = 0; i < 1000; i++) await null; return "
        "Date.now() - a; })()",
        "0");
    xs_vat_time(vat, 1700000000999, 1);
    asks_expect(vat, "Date.now()", "1700000000999");
}

Test(xs_globals, math)
{
    AUTO(xs_vat) vat = asks_start("Math");
    AUTO(xs_vat) other = asks_start("Math");
    asks_expect(vat,
                "[Math.max(1, 2), Math.floor(1.5), Math.sign(-3), Math.PI > 3.14, "
                "Math[Symbol.toStringTag]]",
                "[2,1,-1,true,\"Math\"]");
    static const char draw[] = "[Math.random(), Math.random()]";
    char first[256];
    snprintf(first, sizeof first, "%s", asks_tell(vat, draw));
    /* The same delivery again gives the same, another seed gives another. */
    cr_expect_str_eq(asks_tell(vat, draw), first);
    cr_expect_str_eq(asks_tell(other, draw), first);
    xs_vat_time(vat, 1700000000123, 2);
    cr_expect_str_neq(asks_tell(vat, draw), first);
    asks_expect(
        vat,
        "(() => { const all = Array.from({ length: 2000 }, () => Math.random());"
        "return [all.every(x => x >= 0 && x < 1), new Set(all).size,"
        "Math.abs(all.reduce((a, b) => a + b) / 2000 - 0.5) < 0.05, all.some(x => x * 2 ** 53 % "
        "2 === 1)]; })()",
        "[true,2000,true,true]");
}

Test(xs_globals, crypto)
{
    AUTO(xs_vat) vat = asks_start("crypto SubtleCrypto");
    asks_expect(
        vat,
        "[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, "
        "Uint32Array, BigInt64Array, "
        "BigUint64Array].map(Kind => { const a = new Kind(16); return crypto.getRandomValues(a) "
        "=== a && "
        "new Set(a).size > 8; }).every(x => x)",
        "true");
    /* A view's bytes and no others. */
    asks_expect(
        vat,
        "(() => { const all = new Uint8Array(64); crypto.getRandomValues(all.subarray(16, 48));"
        "return [all.subarray(0, 16), all.subarray(48), all.subarray(16, 48)].map(part => "
        "part.some(b => b)); })()",
        "[false,false,true]");
    asks_expect_throw(vat, "crypto.getRandomValues(new Uint8Array(65537))", "QuotaExceededError",
                      "getRandomValues: 65537 bytes are more than 65536");
    asks_expect(vat, "crypto.getRandomValues(new Uint8Array(65536)).length", "65536");
    asks_expect_throw(vat, "crypto.getRandomValues(new DataView(new ArrayBuffer(4)))",
                      "TypeMismatchError",
                      "getRandomValues: the argument is no typed array of integers");
    asks_expect_throw(vat, "crypto.getRandomValues([1])", "TypeMismatchError",
                      "getRandomValues: the argument is no typed array of integers");
    asks_expect(
        vat,
        "(() => { const ids = [1, 2, 3].map(() => crypto.randomUUID());"
        "return [new Set(ids).size, ids.every(id => "
        "/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id))]; })()",
        "[3,true]");
    static const char hex[] = "Array.from(new Uint8Array(await crypto.subtle.digest(%s))).map(b => "
                              "b.toString(16).padStart(2, '0')).join('')";
    char source[1024], of[512];
    snprintf(of, sizeof of, hex, "'SHA-256', new TextEncoder().encode('xabc').subarray(1)");
    snprintf(source, sizeof source, "(async () => %s)()", of);
    asks_expect(vat, source,
                "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"");
    snprintf(of, sizeof of, hex, "{ name: 'sha-512' }, new ArrayBuffer(0)");
    snprintf(source, sizeof source, "(async () => (%s).slice(0, 32))()", of);
    asks_expect(vat, source, "\"cf83e1357eefb8bdf1542850d66d8007\"");
    asks_expect_throw(vat, "await crypto.subtle.digest('SHA-1', new Uint8Array(1))",
                      "NotSupportedError",
                      "digest SHA-1 is not supported; SHA-256 and SHA-512 are");
    asks_expect_throw(vat, "await crypto.subtle.sign('HMAC', {}, new Uint8Array(1))",
                      "NotSupportedError", "SubtleCrypto.sign is not supported; digest is");
    asks_expect(vat, "crypto.subtle instanceof SubtleCrypto", "true");
    asks_expect_throw(vat, "new SubtleCrypto()", "TypeError", "Illegal constructor");
}

/* Work in C counts as well. */
Test(xs_globals, native_work_is_metered)
{
    AUTO(xs_vat) vat = asks_start("crypto");
    static const char draw[] =
        "#[\"do\",[\"!void crypto.getRandomValues(new Uint8Array(65536))\"]]";
    static const char digest[] =
        "#[\"do\",[\"!crypto.subtle.digest('SHA-512', new Uint8Array(800000)).then(() => 1)\"]]";
    cr_expect_gt(xs_vat_call(vat, draw)->computrons, 65536 / 8);
    cr_expect_gt(xs_vat_call(vat, digest)->computrons, 800000 / 8);
    cr_expect_lt(xs_vat_call(vat, "#[\"do\",[\"1\"]]")->computrons, 65536 / 8 + 5000);
}

Test(xs_globals, base64)
{
    AUTO(xs_vat) vat = asks_start("atob btoa");
    asks_expect(
        vat,
        "[atob(btoa('hello world')), btoa(''), atob(''), btoa('a'), atob('YQ'), atob(' Y Q = "
        "=\\n'), atob(null)]",
        "[\"hello world\",\"\",\"\",\"YQ==\",\"a\",\"a\",\"\xc2\x9e\xc3\xa9"
        "e\"]");
    asks_expect(
        vat,
        "(() => { const all = Array.from({ length: 10000 }, (_, i) => String.fromCharCode(i % "
        "256)).join('');"
        "return atob(btoa(all)) === all; })()",
        "true");
    asks_expect_throw(vat, "btoa('\\u0100')", "InvalidCharacterError",
                      "btoa: the text has characters beyond U+00FF");
    asks_expect_throw(vat, "atob('a')", "InvalidCharacterError", "atob: the text is not base64");
    asks_expect_throw(vat, "atob('ab=c')", "InvalidCharacterError", "atob: the text is not base64");
    asks_expect_throw(vat, "atob('a-_b')", "InvalidCharacterError", "atob: the text is not base64");
}

Test(xs_globals, url)
{
    AUTO(xs_vat) vat = asks_start("URL URLSearchParams");
    asks_expect(
        vat,
        "(() => { const u = new URL('HTTPS://Ann:pw@Example.COM:8443/a/./b/../c d?x=1&y=%20#frag');"
        "return [u.href, u.origin, u.protocol, u.username, u.password, u.host, u.hostname, u.port, "
        "u.pathname, u.search, u.hash]; })()",
        "[\"https://Ann:pw@example.com:8443/a/c%20d?x=1&y=%20#frag\",\"https://"
        "example.com:8443\",\"https:\",\"Ann\",\"pw\","
        "\"example.com:8443\",\"example.com\",\"8443\",\"/a/c%20d\",\"?x=1&y=%20\",\"!#frag\"]");
    asks_expect(
        vat,
        "(() => { const u = new URL('https://example.com/path?a=1'); u.searchParams.set('b', 'x "
        "y'); u.pathname = '/ü';"
        "return [`${u}`, JSON.stringify(u), u instanceof URL, u.searchParams instanceof "
        "URLSearchParams]; })()",
        "[\"https://example.com/%C3%BC?a=1&b=x+y\",\"!\\\"https://example.com/"
        "%C3%BC?a=1&b=x+y\\\"\",true,true]");
    asks_expect(
        vat,
        "[new URL('../x', 'http://h/a/b/c').href, new URL('http://0x7f.1/').hostname, new "
        "URL('http://[::1]:80/').host, "
        "new URL('file:///C|/x').href, new URL('data:text/plain,hello').pathname, new "
        "URL('http://h:80').port]",
        "[\"http://h/a/x\",\"127.0.0.1\",\"[::1]\",\"file:///C:/x\",\"text/plain,hello\",\"\"]");
    asks_expect(vat, "[URL.canParse('nope'), URL.canParse('/x', 'http://h'), URL.parse('nope')]",
                "[false,true,null]");
    asks_expect_throw(vat, "new URL('not a url')", "TypeError", "Invalid URL: not a url");
    asks_expect_throw(vat, "new URL('http://a b/')", "TypeError", "Invalid URL: http://a b/");
    /* Names that are not ASCII. */
    asks_expect(
        vat,
        "['http://BÜCHER.example/', 'http://faß.de', 'http://☕.example', 'http://例え。テスト', "
        "'http://ＡＢＣ．com', "
        "'http://ΒΌΛΟΣ.com', 'http://xn--bcher-kva.example', 'http://a\\u00ADb.com'].map(text "
        "=> new URL(text).hostname)",
        "[\"xn--bcher-kva.example\",\"xn--fa-hia.de\",\"xn--53h.example\",\"xn--r8jz45g.xn--"
        "zckzah\",\"abc.com\","
        "\"xn--nxasmq6b.com\",\"xn--bcher-kva.example\",\"ab.com\"]");
    asks_expect(vat,
                "['http://xn--a/', 'http://\\u0301a.com/', 'http://a\\uFFFDb/', 'http://a%00b/', "
                "'http://a\\u200Bb\\u2028c/'].filter(text => URL.canParse(text))",
                "[]");
    asks_expect(
        vat,
        "(() => { const p = new URLSearchParams('x=10&y=20&x=30&z=%F0%9F%98%80+a'); p.append('é', "
        "'ü&'); p.delete('y'); p.sort();"
        "return [p.get('x'), p.getAll('x'), p.get('z'), p.has('y'), p.size, p.toString(), "
        "[...p.keys()]]; })()",
        "[\"10\",[\"10\",\"30\"],\"😀 "
        "a\",false,4,\"x=10&x=30&z=%F0%9F%98%80+a&%C3%A9=%C3%BC%26\",[\"x\",\"x\",\"z\",\"é\"]]");
    asks_expect(
        vat, "[new URLSearchParams({ a: 1, b: 2 }), new URLSearchParams([['a', '1']])].map(String)",
        "[\"a=1&b=2\",\"a=1\"]");
}

Test(xs_globals, abort)
{
    AUTO(xs_vat) vat = asks_start("AbortController AbortSignal");
    asks_expect(
        vat,
        "(() => { const c = new AbortController(), { signal } = c, seen = [signal.aborted];"
        "signal.onabort = e => seen.push(['on', e.type, e.target === signal]);"
        "const gone = () => seen.push('gone'); signal.addEventListener('abort', gone); "
        "signal.removeEventListener('abort', gone);"
        "signal.addEventListener('abort', { handleEvent: () => seen.push('object') });"
        "signal.addEventListener('abort', () => { throw Error('listener'); });"
        "signal.addEventListener('abort', () => seen.push('last'), { once: true });"
        "c.abort('why'); c.abort('again'); seen.push(signal.aborted, signal.reason); return "
        "seen; })()",
        "[false,[\"on\",\"abort\",true],\"object\",\"last\",true,\"why\"]");
    cr_expect_str_eq(xs_vat_console(vat), "error vat| Uncaught Error: listener\n");
    asks_expect(
        vat,
        "(() => { const c = new AbortController(); c.abort(); const { name, message, code } = "
        "c.signal.reason;"
        "return [name, message, code, c.signal.reason instanceof Error, c.signal instanceof "
        "AbortSignal]; })()",
        "[\"AbortError\",\"This operation was aborted\",20,true,true]");
    asks_expect_throw(vat, "AbortSignal.abort(RangeError('no')).throwIfAborted()", "RangeError",
                      "no");
    asks_expect(
        vat,
        "(() => { const a = new AbortController(), b = new AbortController(), any = "
        "AbortSignal.any([a.signal, b.signal]);"
        "const seen = [any.aborted]; any.addEventListener('abort', () => "
        "seen.push(any.reason)); b.abort(1); a.abort(2);"
        "return [...seen, any.aborted, AbortSignal.any([AbortSignal.abort(3)]).reason]; })()",
        "[false,1,true,3]");
    asks_expect_throw(vat, "new AbortSignal()", "TypeError", "Illegal constructor");
    asks_expect_throw(vat, "AbortSignal.timeout(1)", "TypeError",
                      "AbortSignal.timeout needs setTimeout: the vat did not ask for it");
}

/* XS by itself takes a negated set that begins with U+0000 for all characters. */
Test(xs_globals, sets_from_zero)
{
    AUTO(xs_vat) vat = asks_start("");
    asks_expect(vat,
                "[/[^\\x00-\\x7F]/.test('abc'), /[^\\x00-\\x7F]/u.test('ab\u00e9'), "
                "/[^\\x00-a-z]/.exec('aB\u00e9').index,"
                "/[^\\x00]/.test('\\0'), /[^\\x00a-cx-z]/.exec('abcxyzd').index]",
                "[false,true,2,false,6]");
}
