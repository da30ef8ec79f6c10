// SPDX-License-Identifier: MIT
#include "unit.h"

#include "roles/role.h"

TEST(a_duty_is_a_role_and_perhaps_a_header)
{
    static const struct {
        const char *name;
        struct duty duty;
    } row[] = {
        {"echo", {&role_echo, false}},
        {"raw", {&role_raw, false}},
        {"discard+proxy", {&role_discard, true}},
        {"raw+proxy", {&role_raw, true}},
        {"busy", {NULL, false}}, // is no port's
        {"", {NULL, false}},
        {"+proxy", {NULL, false}},
        {"ra", {NULL, false}},
        {"raww", {NULL, false}},
        {"raw+prox", {NULL, false}},
        {"raw+proxyy", {NULL, false}},
        {"raw+proxy+proxy", {NULL, true}},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct duty duty = duty_find(row[i].name, strlen(row[i].name));

        assert_ptr_equal(duty.role, row[i].duty.role);
        assert_int_equal(duty.proxy, row[i].duty.proxy);
    }
    assert_ptr_equal(duty_find("raw:7", 3).role, &role_raw);
}

TEST(a_header_is_for_tcp_alone_and_http_too)
{
    static const struct {
        struct duty duty;
        bool tcp, udp;
    } row[] = {
        {{&role_raw, false}, true, true},
        {{&role_raw, true}, true, false},
        {{&role_http, false}, true, false},
        {{&role_http, true}, true, false},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        assert_int_equal(duty_is_for(row[i].duty, PROTOCOL_TCP), row[i].tcp);
        assert_int_equal(duty_is_for(row[i].duty, PROTOCOL_UDP), row[i].udp);
    }
}

TEST(the_roles_are_named_with_commas_between)
{
    char room[200];
    struct text text = text_in(room, sizeof room);

    duty_list(&text);
    assert_non_null(strstr(text_end(&text), "raw, discard"));
    assert_true(room[0] != ',');
    assert_true(room[text.length - 1] != ' ');
}
