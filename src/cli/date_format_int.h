/* Dates by the patterns of Java's SimpleDateFormat, in local time and in English.
 *
 *   y year   M month   d day   D day of the year   E weekday   a AM or PM
 *   H 0-23   k 1-24    K 0-11  h 1-12   m minute   s second    S millisecond
 *   z UTC offset or zone name   Z +0100   X Z or +01, +0100, +01:00
 *   'text' as it is, '' a quote
 *
 * @owner any thread   @blocks never
 */
#ifndef OT_CLI_DATE_FORMAT_INT_H
#define OT_CLI_DATE_FORMAT_INT_H

#include "base/text.h"

/* OT_ERR_INVALID_CONFIG with Java's message in `why` for a pattern with other letters. */
ot_err date_format_check(const char *pattern, struct ot_why *why) OT_MUST_USE;

/* Appends the time, milliseconds since 1970, by a pattern that was checked. */
void date_format_put(const char *pattern, int64_t time_ms, struct ot_text *text);

#endif
