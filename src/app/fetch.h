/*
 * fetch - a configuration text from an http URL, blocking, before anything else runs
 */
#pragma once
#include "app/config.h"

/* A config_fetch_fn: at most CONFIG_TEXT_MAX bytes within 10 s. */
enum err fetch_text(struct arena *a, struct str url, struct str *out_text, struct fault *f);
