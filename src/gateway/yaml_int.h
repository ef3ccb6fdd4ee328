/*
 * yaml_int - what reader and writer agree on: the meaning of a plain scalar
 */
#pragma once
#include "gateway/yaml_text.h"

/*
 * The type that plain text has. For numbers `*out_number` is the text that JSON wants:
 * "0x10" is "16", "1_000" is "1000", ".5" is "0.5".
 */
enum json_type yaml_plain_type(struct arena *a, struct str s, bool *out_boolean,
			       struct str *out_number);
