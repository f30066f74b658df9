/* What each unit test includes first: cmocka with the headers that it wants before it. */
#ifndef OT_TEST_UNIT_TEST_H
#define OT_TEST_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define assert_ok(expr) assert_int_equal((expr), 0)

#endif
