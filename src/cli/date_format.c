#include "cli/date_format_int.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

static const char letters[] = "yMdDEaHkKhmsSzZX";

static const char *const months[] = { "January", "February", "March", "April", "May", "June",
	"July", "August", "September", "October", "November", "December" };
static const char *const days[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday",
	"Friday", "Saturday" };

/* The end of the text in quotes that begins at `at`; NULL when it has none. */
static const char *
end_of_quotes(const char *at)
{
	for (at++; *at != '\0'; at++) {
		if (*at == '\'' && at[1] != '\'')
			return at + 1;
		at += *at == '\'';
	}
	return NULL;
}

ot_err
date_format_check(const char *pattern, struct ot_why *why)
{
	for (const char *at = pattern; *at != '\0';) {
		if (at[0] == '\'' && at[1] == '\'') {
			at += 2;
		} else if (*at == '\'') {
			at = end_of_quotes(at);
			if (at == NULL) {
				ot_why_set(why, "Unterminated quote");
				return OT_ERR_INVALID_CONFIG;
			}
		} else if (isalpha((unsigned char)*at) && strchr(letters, *at) == NULL) {
			ot_why_set(why, "Illegal pattern character '%c'", *at);
			return OT_ERR_INVALID_CONFIG;
		} else {
			at++;
		}
	}
	return OT_OK;
}

static void
put_number(struct ot_text *text, long number, int width)
{
	ot_text_put(text, "%0*ld", width, number);
}

/* Three letters, or from a count of four on the whole name. */
static void
put_name(struct ot_text *text, const char *name, int count)
{
	ot_text_put(text, "%.*s", count >= 4 ? (int)strlen(name) : 3, name);
}

static void
put_zone(struct ot_text *text, const struct tm *tm, char letter, int count)
{
	long minutes = tm->tm_gmtoff / 60;
	char sign = minutes < 0 ? '-' : '+';
	long absolute = minutes < 0 ? -minutes : minutes;
	if (letter == 'z')
		ot_text_put(text, "%s", tm->tm_zone);
	else if (letter == 'X' && minutes == 0)
		ot_text_put(text, "Z");
	else if (letter == 'X' && count == 1)
		ot_text_put(text, "%c%02ld", sign, absolute / 60);
	else
		ot_text_put(text, "%c%02ld%s%02ld", sign, absolute / 60,
		    letter == 'X' && count >= 3 ? ":" : "", absolute % 60);
}

static void
put_field(struct ot_text *text, const struct tm *tm, long ms, char letter, int count)
{
	int hour = tm->tm_hour;
	switch (letter) {
	case 'y':
		put_number(text, count == 2 ? tm->tm_year % 100 : tm->tm_year + 1900, count);
		break;
	case 'M':
		if (count >= 3)
			put_name(text, months[tm->tm_mon], count);
		else
			put_number(text, tm->tm_mon + 1, count);
		break;
	case 'd':
		put_number(text, tm->tm_mday, count);
		break;
	case 'D':
		put_number(text, tm->tm_yday + 1, count);
		break;
	case 'E':
		put_name(text, days[tm->tm_wday], count);
		break;
	case 'a':
		ot_text_put(text, "%s", hour < 12 ? "AM" : "PM");
		break;
	case 'H':
		put_number(text, hour, count);
		break;
	case 'k':
		put_number(text, hour == 0 ? 24 : hour, count);
		break;
	case 'K':
		put_number(text, hour % 12, count);
		break;
	case 'h':
		put_number(text, hour % 12 == 0 ? 12 : hour % 12, count);
		break;
	case 'm':
		put_number(text, tm->tm_min, count);
		break;
	case 's':
		put_number(text, tm->tm_sec, count);
		break;
	case 'S':
		put_number(text, ms, count);
		break;
	default:
		put_zone(text, tm, letter, count);
		break;
	}
}

/* Puts the text in quotes that begins at `at`, and gives its end. */
static const char *
put_quoted(struct ot_text *text, const char *at)
{
	if (at[1] == '\'') {
		ot_text_put(text, "'");
		return at + 2;
	}
	const char *end = end_of_quotes(at);
	for (at++; at < end - 1; at += *at == '\'' ? 2 : 1)
		ot_text_put(text, "%c", *at);
	return end;
}

void
date_format_put(const char *pattern, int64_t time_ms, struct ot_text *text)
{
	struct tm tm;
	long ms = (long)(((time_ms % 1000) + 1000) % 1000);
	time_t seconds = (time_t)((time_ms - ms) / 1000);
	localtime_r(&seconds, &tm);
	for (const char *at = pattern; *at != '\0';) {
		int count = 1;
		if (*at == '\'') {
			at = put_quoted(text, at);
		} else if (!isalpha((unsigned char)*at)) {
			ot_text_put(text, "%c", *at++);
		} else {
			while (at[count] == *at)
				count++;
			put_field(text, &tm, ms, *at, count);
			at += count;
		}
	}
}
