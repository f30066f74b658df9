#include "cli/offsets_int.h"

#include <string.h>
#include <time.h>

enum { MS_PER_SECOND = 1000, MS_PER_MINUTE = 60000, MS_PER_HOUR = 3600000, MS_PER_DAY = 86400000 };

ot_wall_ms
cli_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (ot_wall_ms)now.tv_sec * MS_PER_SECOND + now.tv_nsec / OT_NS_PER_MS;
}

/* Reads exactly `digits` digits and moves on. */
static bool
take_digits(const char **text, int digits, int *ret_number)
{
	int number = 0;
	for (int i = 0; i < digits; i++) {
		char c = (*text)[i];
		if (c < '0' || c > '9')
			return false;
		number = number * 10 + (c - '0');
	}
	*text += digits;
	*ret_number = number;
	return true;
}

static bool
take_char(const char **text, char wanted)
{
	if (**text != wanted)
		return false;
	(*text)++;
	return true;
}

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
days_of_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Days from 1970-01-01, in the Gregorian calendar. */
static int64_t
days_of_date(int year, int month, int day)
{
	int64_t before = year - 1;
	int64_t days = before * 365 + before / 4 - before / 100 + before / 400;
	for (int i = 1; i < month; i++)
		days += days_of_month(year, i);
	return days + day - 1 - 719162; /* those until 1970 */
}

static bool
take_date(const char **text, int64_t *ret_days)
{
	int year;
	int month;
	int day;
	if (!take_digits(text, 4, &year) || !take_char(text, '-') ||
	    !take_digits(text, 2, &month) || !take_char(text, '-') || !take_digits(text, 2, &day))
		return false;
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month))
		return false;
	*ret_days = days_of_date(year, month, day);
	return true;
}

/* "12:00:00.123" in milliseconds; Java's pattern reads the fraction as a number of them, so that
 * fewer or more than three digits are no fraction of a second. Three are asked for here. */
static bool
take_clock(const char **text, int64_t *ret_ms)
{
	int hour;
	int minute;
	int second;
	int ms = 0;
	if (!take_digits(text, 2, &hour) || !take_char(text, ':') ||
	    !take_digits(text, 2, &minute) || !take_char(text, ':') ||
	    !take_digits(text, 2, &second))
		return false;
	if (hour > 23 || minute > 59 || second > 59)
		return false;
	if (take_char(text, '.') && !take_digits(text, 3, &ms))
		return false;
	*ret_ms =
	    (int64_t)hour * MS_PER_HOUR + minute * MS_PER_MINUTE + second * MS_PER_SECOND + ms;
	return true;
}

static bool
take_zone(const char **text, int64_t *ret_ms)
{
	int hour;
	int minute;
	*ret_ms = 0;
	if (**text == '\0' || take_char(text, 'Z'))
		return true;
	int sign = **text == '-' ? -1 : 1;
	if (!take_char(text, '+') && !take_char(text, '-'))
		return false;
	if (!take_digits(text, 2, &hour) || !take_char(text, ':') ||
	    !take_digits(text, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*ret_ms = sign * ((int64_t)hour * MS_PER_HOUR + minute * MS_PER_MINUTE);
	return true;
}

bool
cli_datetime_parse(const char *text, ot_wall_ms *ret_time)
{
	int64_t days;
	int64_t clock_ms;
	int64_t zone_ms;
	if (!take_date(&text, &days) || !take_char(&text, 'T') || !take_clock(&text, &clock_ms) ||
	    !take_zone(&text, &zone_ms) || *text != '\0')
		return false;
	*ret_time = days * MS_PER_DAY + clock_ms - zone_ms;
	return true;
}

/* ---- durations ----------------------------------------------------------------------------- */

/* A number of a duration in thousandths, with its sign; the fraction is for seconds alone. */
static bool
take_amount(const char **text, int64_t *ret_thousandths, bool *ret_has_fraction)
{
	int sign = **text == '-' ? -1 : 1;
	if (**text == '-' || **text == '+')
		(*text)++;
	int64_t number = 0;
	const char *start = *text;
	for (; **text >= '0' && **text <= '9'; (*text)++) {
		number = number * 10 + (**text - '0');
		if (number > INT64_MAX / MS_PER_DAY / 1000)
			return false;
	}
	if (*text == start)
		return false;
	number *= 1000;
	*ret_has_fraction = **text == '.' || **text == ',';
	if (*ret_has_fraction) {
		int64_t weight = 100;
		for ((*text)++; **text >= '0' && **text <= '9'; (*text)++) {
			number += weight * (**text - '0');
			weight /= 10;
		}
	}
	*ret_thousandths = sign * number;
	return true;
}

/* The amounts that may follow each other, in this order. */
struct unit {
	char letter;
	bool is_time; /* behind the T */
	int64_t ms;
};
static const struct unit units[] = {
	{ 'D', false, MS_PER_DAY },
	{ 'H', true, MS_PER_HOUR },
	{ 'M', true, MS_PER_MINUTE },
	{ 'S', true, MS_PER_SECOND },
};

static char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

bool
cli_duration_parse(const char *text, int64_t *ret_ms)
{
	int sign = *text == '-' ? -1 : 1;
	if (*text == '-' || *text == '+')
		text++;
	if (upper(*text++) != 'P')
		return false;
	int64_t sum = 0;
	size_t next = 0; /* unit that may come */
	bool is_time = false;
	bool is_open = true; /* nothing has followed the P, or the T */
	while (*text != '\0') {
		if (upper(*text) == 'T' && !is_time) {
			is_time = true;
			is_open = true;
			text++;
			continue;
		}
		int64_t thousandths;
		bool has_fraction;
		if (!take_amount(&text, &thousandths, &has_fraction))
			return false;
		while (next < OT_ARRAY_COUNT(units) &&
		       (units[next].letter != upper(*text) || units[next].is_time != is_time))
			next++;
		if (next == OT_ARRAY_COUNT(units) || (has_fraction && units[next].letter != 'S'))
			return false;
		int64_t ms;
		if (__builtin_mul_overflow(thousandths / 1000, units[next].ms, &ms) ||
		    __builtin_add_overflow(sum, ms, &sum))
			return false;
		sum += has_fraction ? thousandths % 1000 : 0;
		is_open = false;
		text++;
		next++;
	}
	*ret_ms = sign * sum;
	return !is_open;
}
