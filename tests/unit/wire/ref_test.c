/* Text forms of references: there and back, and everything that only looks like one. */
#include <criterion/criterion.h>
#include <string.h>

#include "wire/base/ref.h"

Test(ref, text_there_and_back)
{
    const struct {
        kref_t kref;
        const char *text;
    } cases[] = {
        {kref_object((vat_t){3}, 7), "ko3.7"},
        {kref_root((vat_t){3}), "ko3.0"},
        {kref_promise((vat_t){3}, 9), "kp3.9"},
        {kref_promise((vat_t){0}, 1), "kp0.1"},
        {kref_object((vat_t){KREF_ISSUER_MAX}, KREF_SERIAL_MAX), "ko8388607.1099511627775"},
        {kref_promise((vat_t){KREF_ISSUER_MAX}, KREF_SERIAL_MAX), "kp8388607.1099511627775"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char buf[KREF_TEXT_MAX];
        kref_t back = {0};
        cr_expect_str_eq(kref_text(cases[i].kref, buf), cases[i].text);
        cr_expect(kref_parse(cases[i].text, strlen(cases[i].text), &back));
        cr_expect_eq(back.n, cases[i].kref.n, "%s", cases[i].text);
    }
    char buf[KREF_TEXT_MAX];
    cr_expect_str_eq(kref_text((kref_t){0}, buf), "none");
}

Test(ref, parse_refuses)
{
    static const char *const bad[] = {
        "",
        "k",
        "ko",
        "ko3",
        "ko3.",
        "ko.7",
        "kx3.7",
        "o3.7",
        "none",
        "ko0.0",
        "kp0.0",
        "ko03.7",
        "ko3.07",
        "ko3.7 ",
        " ko3.7",
        "ko3.7.1",
        "ko-1.7",
        "ko+3.7",
        "ko3.7x",
        "ko8388608.1",
        "ko1.1099511627776",
        "ko1.99999999999999999999999",
        "ko18446744073709551617.1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kref_t kref = {42};
        cr_expect_not(kref_parse(bad[i], strlen(bad[i]), &kref), "%s", bad[i]);
        cr_expect_eq(kref.n, 42);
    }
}

Test(ref, parse_stays_inside)
{
    kref_t kref;
    cr_expect(kref_parse("ko3.75", 5, &kref));
    cr_expect_eq(kref.n, kref_object((vat_t){3}, 7).n);
}

Test(ref, ids)
{
    uint32_t n = 0;
    cr_expect(id_parse('v', "v3", 2, &n));
    cr_expect_eq(n, 3);
    cr_expect(id_parse('h', "h4294967295", 11, &n));
    cr_expect_eq(n, UINT32_MAX);

    static const char *const bad[] = {"",    "v",   "v0",          "v03", "h3",
                                      "v3x", "v-3", "v4294967296", "v 3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        n = 7;
        cr_expect_not(id_parse('v', bad[i], strlen(bad[i]), &n), "%s", bad[i]);
        cr_expect_eq(n, 7);
    }
}
