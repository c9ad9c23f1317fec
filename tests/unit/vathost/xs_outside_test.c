/* Timers and fetch: what they ask of the kernel's object (o-50 here), and what they do with its answers. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/unit/vathost/xs_asks.h"

static const char timers[] = "setTimeout clearTimeout setInterval clearInterval";

static void check_calls(xs_vat_t *vat, const char *source, const char *expected)
{
    const char *said = asks_tell(vat, source);
    cr_expect_str_eq(said, expected, "%s\n is %s", source, said);
}

/* The answer to the timer whose promise is PROMISE. Returns the console. */
static const char *answer(xs_vat_t *vat, const char *promise, const char *body)
{
    const engine_report_t *report = xs_vat_notify(vat, promise, false, body, NULL);
    cr_assert_eq(report->outcome, ERR_OK, "%s", report->reason);
    return xs_vat_console(vat);
}

/* What was asked for while modules were evaluated waits for the kernel's object; parameters are unwrapped. */
Test(xs_outside, before_the_root)
{
    AUTO(xs_vat) vat = asks_open(timers);
    xs_vat_start_with(vat, "#[{\"n\":1},\"$0.Alleged: outside\"]", "o-50");
    cr_assert_str_eq(xs_vat_calls(vat), "send o-50 #[\"after\",[1,20]] {} p+5\nsubscribe p+5\n");
    xs_vat_message(vat, "o+0", "#[\"parameters\",[]]", NULL, "p-98");
    cr_assert_str_eq(xs_vat_calls(vat), "resolve p-98 fulfilled #{\"n\":1} {}\n");
    cr_assert_str_eq(answer(vat, "p+5", "#true"), "log vat| set while the module was evaluated\n");
}

/* In each format; what a vat makes of its own has none of them. */
Test(xs_outside, formats)
{
    static const char *const bundles[] = {"asks.json",
                                          "asks.iife.json",
                                          "asks.endoZipBase64.json",
                                          "asks.nestedEvaluate.json",
                                          "asks.getExport.json",
                                          "asks.endo-endoScript.json"};
    for (size_t i = 0; i < sizeof bundles / sizeof bundles[0]; i++) {
        AUTO(xs_vat) vat = asks_open_as(bundles[i], "Date Math URL setTimeout");
        const engine_report_t *report =
            xs_vat_start_with(vat, "#[{\"n\":1},\"$0.Alleged: outside\"]", "o-50");
        cr_assert_eq(report->outcome, ERR_OK, "%s: %s", bundles[i], report->reason);
        cr_expect_str_eq(xs_vat_calls(vat), "send o-50 #[\"after\",[1,20]] {} p+5\nsubscribe p+5\n",
                         "%s", bundles[i]);
        xs_vat_message(vat, "o+0", "#[\"parameters\",[]]", NULL, "p-98");
        cr_expect_str_eq(xs_vat_calls(vat), "resolve p-98 fulfilled #{\"n\":1} {}\n", "%s",
                         bundles[i]);
        asks_expect(vat, "[Date.now(), Math.random() < 1, new URL('http://A').host, typeof crypto]",
                    "[1700000000123,true,\"a\",\"undefined\"]");
        asks_expect(vat, "new Compartment().evaluate('[typeof URL, typeof setTimeout]')",
                    "[\"undefined\",\"undefined\"]");
        asks_expect(vat,
                    "new Compartment({ globals: { URL }, __options__: true }).evaluate('new "
                    "URL(\"http://B\").host')",
                    "\"b\"");
    }
}

Test(xs_outside, timeout)
{
    AUTO(xs_vat) vat = asks_start_outside(timers);
    check_calls(vat, "void setTimeout((...args) => console.log('fired', ...args), 50, 1, 'two')",
                "send o-50 #[\"after\",[2,50]] {} p+6\nsubscribe p+6\nresolve p-99 fulfilled "
                "#\"#undefined\" {}\n");
    cr_expect_str_eq(answer(vat, "p+6", "#true"), "log vat| fired 1 two\n");
    cr_expect_str_eq(xs_vat_calls(vat), "");
    /* A delay is a number, of 10 ms at least. */
    cr_expect_not_null(strstr(asks_tell(vat, "[1, 'x', undefined, -5, 11.9, '12', Infinity, "
                                             "1e300].forEach(ms => setTimeout(() => {}, ms))"),
                              "send o-50 #[\"after\",[3,10]]"));
    cr_expect_not_null(strstr(asks_tell(vat, "void setTimeout(() => {}, 11.9)"), "[11,11]"));
    cr_expect_not_null(strstr(asks_tell(vat, "void setTimeout(() => {}, '12')"), "[12,12]"));
    cr_expect_not_null(
        strstr(asks_tell(vat, "void setTimeout(() => {}, 1e300)"), "[13,35184372088832]"));
    cr_expect_not_null(strstr(asks_tell(vat, "void setTimeout(() => {})"), "[14,10]"));
    asks_expect_throw(vat, "setTimeout('code', 1)", "TypeError",
                      "setTimeout: the handler is no function but string");
}

Test(xs_outside, clear)
{
    AUTO(xs_vat) vat = asks_start_outside(timers);
    asks_tell(vat, "void kept.set('t', setTimeout(() => console.log('never'), 50))");
    check_calls(vat, "clearTimeout(kept.get('t'))",
                "send o-50 #[\"clear\",[2]] {}\nresolve p-99 fulfilled #\"#undefined\" {}\n");
    /* Also when it had fired before the kernel heard of it. */
    cr_expect_str_eq(answer(vat, "p+6", "#true"), "");
    /* Only what is there and its own. */
    asks_expect(vat, "clearTimeout(kept.get('t'))", "\"#undefined\"");
    asks_expect(
        vat,
        "[1, undefined, null, {}, 'x', Object.freeze(Object.create(null))].forEach(clearTimeout)",
        "\"#undefined\"");
    asks_tell(vat, "void kept.set('t', setTimeout(() => console.log('fired'), 50))");
    asks_expect(vat, "clearInterval(kept.get('t'))", "\"#undefined\"");
    cr_expect_str_eq(answer(vat, "p+7", "#true"), "log vat| fired\n");
    asks_expect(vat, "clearTimeout(kept.get('t'))", "\"#undefined\"");
    /* A handle says nothing of its timer. */
    check_calls(vat,
                "(handle => [typeof handle, Reflect.ownKeys(handle).length, "
                "Object.isFrozen(handle)])(setTimeout(() => {}, 10))",
                "send o-50 #[\"after\",[4,10]] {} p+8\nsubscribe p+8\nresolve p-99 fulfilled "
                "#[\"object\",0,true] {}\n");
    asks_tell(vat, "void kept.set('t', setTimeout(() => console.log('never'), 50))");
    cr_expect_str_eq(answer(vat, "p+9", "#false"), "");
}

Test(xs_outside, interval)
{
    AUTO(xs_vat) vat = asks_start_outside(timers);
    check_calls(vat,
                "(() => { let n = 0; const it = setInterval(step => { n += step; "
                "console.log('tick', n); if (n === 4) clearInterval(it); }, 15, 2); })()",
                "send o-50 #[\"after\",[2,15]] {} p+6\nsubscribe p+6\nresolve p-99 fulfilled "
                "#\"#undefined\" {}\n");
    cr_expect_str_eq(answer(vat, "p+6", "#true"), "log vat| tick 2\n");
    cr_expect_str_eq(xs_vat_calls(vat), "send o-50 #[\"after\",[2,15]] {} p+7\nsubscribe p+7\n");
    cr_expect_str_eq(answer(vat, "p+7", "#true"), "log vat| tick 4\n");
    cr_expect_str_eq(xs_vat_calls(vat), "send o-50 #[\"clear\",[2]] {}\n");
}

/* What one callback throws is said, and stops nothing. */
Test(xs_outside, throws)
{
    AUTO(xs_vat) vat = asks_start_outside(timers);
    asks_tell(vat, "void [setTimeout(() => { throw RangeError('mine'); }, 10), setTimeout(() => "
                   "console.log('next'), 10), "
                   "setInterval(() => { throw 'text'; }, 10), setTimeout(async () => { throw "
                   "Error('later'); }, 10)]");
    cr_expect_str_eq(answer(vat, "p+6", "#true"), "error vat| Uncaught RangeError: mine\n");
    cr_expect_str_eq(answer(vat, "p+7", "#true"), "log vat| next\n");
    xs_vat_calls(vat);
    cr_expect_str_eq(answer(vat, "p+8", "#true"), "error vat| Uncaught text\n");
    cr_expect_str_eq(xs_vat_calls(vat), "send o-50 #[\"after\",[4,10]] {} p+10\nsubscribe p+10\n");
    cr_expect_str_eq(answer(vat, "p+9", "#true"),
                     "warn vat| Unhandled promise rejection: Error: later\n");
    /* The kernel may refuse. */
    xs_vat_notify(vat, "p+10", true, "#{\"#error\":\"too many timers\",\"name\":\"Error\"}", NULL);
    cr_expect_str_eq(xs_vat_console(vat), "error vat| Uncaught Error: too many timers\n");
    cr_expect_str_eq(xs_vat_calls(vat), "");
}

/* AbortSignal.timeout is there when timers are. */
Test(xs_outside, abort_timeout)
{
    AUTO(xs_vat) vat = asks_start_outside("setTimeout AbortSignal");
    asks_tell(vat, "void AbortSignal.timeout(100).addEventListener('abort', e => "
                   "console.log(e.target.reason.name))");
    cr_expect_str_eq(answer(vat, "p+6", "#true"), "log vat| TimeoutError\n");
}

/* ---- fetch ---- */

static const char network[] =
    "fetch Request Headers Response AbortController AbortSignal URL URLSearchParams";

Test(xs_outside, fetch)
{
    AUTO(xs_vat) vat = asks_start_outside(network);
    check_calls(vat,
                "void fetch('https://API.test/x?y#f', { method: 'post', headers: { 'X-A': ' 1 ' }, "
                "body: 'hé' })"
                ".then(async r => console.log(r.status, r.ok, r.statusText, r.url, r.redirected, "
                "r.type, [...r.headers], r instanceof Response, "
                "await r.clone().json(), await r.text(), r.bodyUsed))",
                "send o-50 "
                "#[\"fetch\",[{\"body\":\"aMOp\",\"headers\":[[\"content-type\",\"text/"
                "plain;charset=UTF-8\"],"
                "[\"x-a\",\"1\"]],\"method\":\"POST\",\"url\":\"https://api.test/x?y\"}]] {} p+5\n"
                "subscribe p+5\nresolve p-99 fulfilled #\"#undefined\" {}\n");
    cr_expect_str_eq(answer(vat, "p+5",
                            "#{\"status\":201,\"statusText\":\"Created\",\"url\":\"https://"
                            "api.test/z\",\"redirected\":true,"
                            "\"headers\":[[\"B\",\"2\"],[\"A\",\"1\"],[\"b\",\"3\"],[\"bad "
                            "name\",\"\"]],\"body\":\"eyJhIjoiw6kifQ==\"}"),
                     "log vat| 201 true Created https://api.test/z true basic [[\"a\", \"1\"], "
                     "[\"b\", \"2, 3\"]] true { a: \"\xc3\xa9\" } {\"a\":\"\xc3\xa9\"} true\n");
    check_calls(vat,
                "void fetch(new URL('http://a.test')).then(async r => console.log(r.status, (await "
                "r.arrayBuffer()).byteLength))",
                "send o-50 "
                "#[\"fetch\",[{\"body\":\"#undefined\",\"headers\":[],\"method\":\"GET\",\"url\":"
                "\"http://a.test/\"}]] {} p+6\n"
                "subscribe p+6\nresolve p-99 fulfilled #\"#undefined\" {}\n");
    cr_expect_str_eq(answer(vat, "p+6",
                            "#{\"status\":204,\"statusText\":\"\",\"url\":\"http://a.test/"
                            "\",\"redirected\":false,\"headers\":[],\"body\":\"\"}"),
                     "log vat| 204 0\n");
    asks_tell(
        vat,
        "void fetch(new Request('http://a.test/r', { method: 'PUT', body: new Uint8Array([0, "
        "255]), headers: [['k', 'v']] }))"
        ".then(r => { try { r.headers.set('a', 'b'); } catch (e) { console.log(e.message); } })");
    cr_expect_str_eq(answer(vat, "p+7",
                            "#{\"status\":200,\"statusText\":\"\",\"url\":\"http://a.test/"
                            "\",\"redirected\":false,\"headers\":[],\"body\":\"\"}"),
                     "log vat| these headers are immutable\n");
}

/* Where a redirection leads is seen to outside. */
Test(xs_outside, fetch_redirect)
{
    AUTO(xs_vat) vat = asks_start_outside(network);
    check_calls(vat,
                "void fetch('http://a.test', { redirect: 'manual' }).then(r => "
                "console.log(r.status, r.headers.get('location')))",
                "send o-50 "
                "#[\"fetch\",[{\"body\":\"#undefined\",\"headers\":[],\"method\":\"GET\","
                "\"redirect\":\"manual\",\"url\":\"http://a.test/\"}]] {} p+5\n"
                "subscribe p+5\nresolve p-99 fulfilled #\"#undefined\" {}\n");
    cr_expect_str_eq(answer(vat, "p+5",
                            "#{\"status\":302,\"statusText\":\"Found\",\"url\":\"http://a.test/"
                            "\",\"redirected\":false,"
                            "\"headers\":[[\"Location\",\"/b\"]],\"body\":\"\"}"),
                     "log vat| 302 /b\n");
    asks_expect_throw(vat, "new Request('http://a.test', { redirect: 'sometimes' })", "TypeError",
                      "redirect is one of follow, error, manual");
}

static void check_failure(xs_vat_t *vat, const char *promise, const char *body, const char *console)
{
    asks_tell(vat, "void fetch('http://b.test/').catch(e => console.log(`${e}`, e instanceof "
                   "TypeError, e.cause instanceof Error))");
    xs_vat_notify(vat, promise, true, body, NULL);
    cr_expect_str_eq(xs_vat_console(vat), console);
}

Test(xs_outside, fetch_fails)
{
    AUTO(xs_vat) vat = asks_start_outside(network);
    check_failure(vat, "p+5", "#{\"#error\":\"Invalid host: b.test\",\"name\":\"Error\"}",
                  "log vat| Error: Invalid host: b.test false false\n");
    check_failure(vat, "p+6", "#{\"#error\":\"[KERNEL:CONNECTION_LOST] gone\",\"name\":\"Error\"}",
                  "log vat| TypeError: fetch failed: [KERNEL:CONNECTION_LOST] gone true true\n");
    check_failure(vat, "p+7", "#{\"#error\":\"fetch failed: no route\",\"name\":\"TypeError\"}",
                  "log vat| TypeError: fetch failed: no route true false\n");
    asks_expect_throw(vat, "await fetch('file:///etc/passwd')", "Error",
                      "fetch cannot target file:// URLs");
    asks_expect_throw(vat, "await fetch('data:text/plain,hello')", "Error", "Invalid host: ");
    asks_expect_throw(vat, "await fetch('ftp://b.test/')", "TypeError",
                      "fetch failed: the scheme ftp: is not known");
    asks_expect_throw(vat, "await fetch('/x')", "TypeError", "Invalid URL: /x");
    asks_expect_throw(vat, "await fetch('http://u:p@b.test')", "TypeError",
                      "a request's URL has no user and no password: b.test");
}

Test(xs_outside, fetch_aborted)
{
    AUTO(xs_vat) vat = asks_start_outside(network);
    asks_expect_throw(vat, "await fetch('http://b.test', { signal: AbortSignal.abort() })",
                      "AbortError", "This operation was aborted");
    asks_tell(vat, "void kept.set('c', new AbortController()),"
                   "void fetch('http://b.test', { signal: kept.get('c').signal }).then(() => "
                   "console.log('answered'), e => console.log(e.name))");
    asks_tell(vat, "kept.get('c').abort()");
    cr_expect_str_eq(xs_vat_console(vat), "log vat| AbortError\n");
    /* The answer comes to nobody. */
    cr_expect_str_eq(answer(vat, "p+5",
                            "#{\"status\":200,\"statusText\":\"\",\"url\":\"\",\"redirected\":"
                            "false,\"headers\":[],\"body\":\"\"}"),
                     "");
}

Test(xs_outside, headers)
{
    AUTO(xs_vat) vat = asks_start_outside(network);
    asks_expect(vat,
                "(() => { const h = new Headers({ B: '1', a: '\\t2 ' }); h.append('b', '3'); "
                "h.append('Set-Cookie', 'x'); h.append('set-cookie', 'y');"
                "h.set('c', 'old'); h.set('C', 'new'); h.delete('nothing'); const seen = []; "
                "h.forEach((v, k) => seen.push(k));"
                "return [h.get('B'), h.get('none'), h.has('A'), h.getSetCookie(), [...h.keys()], "
                "[...h.values()], seen, [...new Headers(h)].length]; })()",
                "[\"1, "
                "3\",null,true,[\"x\",\"y\"],[\"a\",\"b\",\"c\",\"set-cookie\",\"set-cookie\"],["
                "\"2\",\"1, 3\",\"new\",\"x\",\"y\"],"
                "[\"a\",\"b\",\"c\",\"set-cookie\",\"set-cookie\"],5]");
    asks_expect_throw(vat, "new Headers([['a b', '1']])", "TypeError",
                      "not the name of a header: \\\"a b\\\"");
    asks_expect_throw(vat, "new Headers({ a: 'x\\ny' })", "TypeError",
                      "not the value of a header: \\\"x\\\\ny\\\"");
    asks_expect_throw(vat, "new Headers([['a']])", "TypeError",
                      "a header is a pair of name and value");
}

Test(xs_outside, bodies)
{
    AUTO(xs_vat) vat = asks_start_outside(network);
    asks_expect(vat,
                "(async () => { const r = new Request('http://a.test/%7E', { method: 'post', body: "
                "new URLSearchParams({ a: 'ü' }) }), c = r.clone();"
                "return [r.url, r.method, r.headers.get('content-type'), await r.text(), "
                "r.bodyUsed, c.bodyUsed, await c.text(), r.redirect, r.signal.aborted]; })()",
                "[\"http://a.test/%7E\",\"POST\",\"application/"
                "x-www-form-urlencoded;charset=UTF-8\",\"a=%C3%BC\",true,false,\"a=%C3%BC\","
                "\"follow\",false]");
    asks_expect(
        vat,
        "(async () => { const r = new Response('{\"a\":[1]}', { status: 404, statusText: 'No', "
        "headers: { x: '1' } });"
        "return [r.status, r.ok, r.statusText, r.type, r.url, r.headers.get('x'), "
        "r.headers.get('content-type'), await r.clone().json(), "
        "(await r.bytes()).length, await Response.json({ b: 2 }).json(), Response.error().type, "
        "Response.redirect('http://a.test').headers.get('location'), "
        "await new Response(new Uint16Array([0x6261]).buffer).text(), await new "
        "Response().text()]; })()",
        "[404,false,\"No\",\"default\",\"\",\"1\",\"text/"
        "plain;charset=UTF-8\",{\"a\":[1]},9,{\"b\":2},\"error\",\"http://a.test/\",\"ab\",\"\"]");
    asks_expect_throw(vat,
                      "await (async r => { await r.text(); await r.text(); })(new Response('x'))",
                      "TypeError", "the body was read already");
    asks_expect_throw(vat, "new Request('http://a.test', { body: 'x' })", "TypeError",
                      "a GET request has no body");
    asks_expect_throw(vat, "new Request('http://a.test', { method: 'TRACE' })", "TypeError",
                      "not the method of a request: \\\"TRACE\\\"");
    asks_expect_throw(vat, "new Request('nope')", "TypeError", "Invalid URL: nope");
    asks_expect_throw(vat, "new Response('x', { status: 204 })", "TypeError",
                      "a response 204 has no body");
    asks_expect_throw(vat, "new Response('', { status: 99 })", "RangeError",
                      "99 is no status from 200 to 599");
}

/* ---- replay ---- */

/* The same deliveries give the same syscalls, with every source of time and chance in them. */
static char *live(bool replay)
{
    char *log;
    size_t len;
    FILE *file = open_memstream(&log, &len);
    AUTO(xs_vat) vat = asks_open("Date Math crypto setTimeout setInterval clearInterval fetch URL");
    xs_vat_replay(vat, replay);
    xs_vat_start_with(vat, "#[{},\"$0.Alleged: outside\"]", "o-50");
    fputs(xs_vat_calls(vat), file);
    for (uint64_t i = 0; i < 5; i++) {
        xs_vat_time(vat, 1000 + i * i, (uint8_t)i);
        fputs(asks_tell(
                  vat,
                  "(() => { setTimeout(() => console.log(Math.random()), Math.random() * 100 + 20);"
                  "return [Date.now(), Math.random(), crypto.randomUUID(), `${new URL('x', "
                  "'http://a')}`]; })()"),
              file);
        char promise[8];
        snprintf(promise, sizeof promise, "p+%d", (int)i + 6);
        fputs(answer(vat, promise, "#true"), file);
        fputs(xs_vat_calls(vat), file);
    }
    fclose(file);
    return log;
}

Test(xs_outside, replay)
{
    char *first = live(false), *second = live(true);
    cr_expect_str_eq(first, second);
    cr_expect_not_null(strstr(first, "send o-50 #[\"after\",[6,"), "%s", first);
    free(first);
    free(second);
}
