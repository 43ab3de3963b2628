/* retry_after.c: seconds, or a date. */
#include "protocol/retry_after.h"

#include <string.h>

#define DATE_LEN 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */
#define DAY 86400

/* n digits, or -1. */
static int digits(const char *p, int n) {
  int value = 0;
  for (int i = 0; i < n; i++) {
    if (p[i] < '0' || p[i] > '9') return -1;
    value = value * 10 + p[i] - '0';
  }
  return value;
}

/* Days since the epoch: of years that begin in March, so that the day that
 * some of them have more is their last. */
static int64_t days_of(int year, int month, int day) {
  int64_t y = month < 3 ? year - 1 : year;
  int64_t m = month < 3 ? month + 9 : month - 3;
  return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 -
         719468;
}

static int64_t date_of(struct ws_slice s) {
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (s.n != DATE_LEN || memcmp(s.p + 3, ", ", 2) != 0 || s.p[7] != ' ' ||
      s.p[11] != ' ' || s.p[16] != ' ' || s.p[19] != ':' || s.p[22] != ':' ||
      memcmp(s.p + 25, " GMT", 4) != 0)
    return -1;
  int month = 0;
  while (month < 12 && memcmp(months + 3 * month, s.p + 8, 3) != 0) month++;
  int day = digits(s.p + 5, 2), year = digits(s.p + 12, 4);
  int h = digits(s.p + 17, 2), m = digits(s.p + 20, 2);
  int sec = digits(s.p + 23, 2);
  if (month == 12 || day < 1 || day > 31 || year < 1970 || h < 0 || h > 23 ||
      m < 0 || m > 59 || sec < 0 || sec > 60)
    return -1;
  return days_of(year, month + 1, day) * DAY + h * 3600 + m * 60 + sec;
}

static int64_t seconds_of(struct ws_slice s) {
  int64_t value = 0;
  if (s.n == 0 || s.n > 9) return -1;
  for (size_t i = 0; i < s.n; i++) {
    int d = digits(s.p + i, 1);
    if (d < 0) return -1;
    value = value * 10 + d;
  }
  return value;
}

int64_t ws_retry_after(const struct ws_http *h, const char *bytes,
                       int64_t now) {
  for (uint32_t i = 0; i < h->n_fields; i++) {
    const struct ws_http_field *f = &h->fields[i];
    if (!ws_slice_equal_nocase(ws_http_name(bytes, f), WS_SLICE("retry-after")))
      continue;
    struct ws_slice value = ws_http_value(bytes, f);
    int64_t seconds = seconds_of(value), date;
    if (seconds >= 0) return seconds;
    if ((date = date_of(value)) < 0) return -1;
    return date > now ? date - now : 0;
  }
  return -1;
}
