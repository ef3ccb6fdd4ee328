/* SPDX-License-Identifier: MIT */
/*
 * secret - see secret.h
 */
#include "identity/secret.h"

#include "base/buf.h"
#include "base/enc.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "tls/crypto.h"

#define SALT_LEN 16
#define PBKDF2_PREFIX STR("$pbkdf2-sha256$i=")

/* Into the arena; the buffer is wiped, since it may hold a secret. */
static struct str take_buf(struct arena *a, struct buf *b)
{
	struct str out = str_dup(a, buf_str(b));

	mem_wipe(buf_head(b), b->n);
	buf_free(b);
	return out;
}

struct str secret_new(struct arena *a)
{
	uint8_t bytes[32];
	struct buf text = {0};

	rand_bytes(bytes, sizeof(bytes));
	base64url_encode(&text, str_of(bytes, sizeof(bytes)));
	mem_wipe(bytes, sizeof(bytes));
	return take_buf(a, &text);
}

enum err secret_check_chosen(struct str secret, struct fault *f)
{
	if (secret.n < SECRET_LEN_MIN || secret.n > SECRET_LEN_MAX) {
		return fault_set(f, ERR_INVALID, "a secret must have %d to %d bytes",
				 SECRET_LEN_MIN, SECRET_LEN_MAX);
	}
	if (!utf8_is_valid(secret)) {
		return fault_set(f, ERR_INVALID, "a secret must be valid UTF-8");
	}
	for (size_t i = 0; i < secret.n; i++) {
		if ((unsigned char)secret.p[i] < 0x20 || secret.p[i] == 0x7f) {
			return fault_set(f, ERR_INVALID,
					 "a secret must not hold control characters");
		}
	}
	return ERR_OK;
}

struct str secret_hash_random(struct arena *a, struct str secret)
{
	uint8_t hash[SHA256_LEN];
	struct buf text = {0};

	crypto_sha256(secret, hash);
	base64_encode(&text, str_of(hash, sizeof(hash)));
	return take_buf(a, &text);
}

struct str secret_hash_chosen(struct arena *a, struct str secret)
{
	uint8_t salt[SALT_LEN], hash[SHA256_LEN];
	struct buf text = {0};

	rand_bytes(salt, sizeof(salt));
	crypto_pbkdf2_sha256(secret, str_of(salt, sizeof(salt)), SECRET_ROUNDS, hash);
	buf_put(&text, PBKDF2_PREFIX);
	buf_printf(&text, "%d$", SECRET_ROUNDS);
	base64url_encode(&text, str_of(salt, sizeof(salt)));
	buf_putc(&text, '$');
	base64url_encode(&text, str_of(hash, sizeof(hash)));
	return take_buf(a, &text);
}

static bool matches_base64(struct str stored, const uint8_t *hash, size_t hash_len)
{
	struct buf text = {0};
	bool same;

	base64_encode(&text, str_of(hash, hash_len));
	same = text.n == stored.n && crypto_eq(buf_head(&text), stored.p, text.n);
	buf_free(&text);
	return same;
}

/* Splits "600000$SALT$HASH"; false unless it is whole and affordable. */
static bool read_pbkdf2(struct str rest, unsigned *out_rounds, struct buf *salt, struct buf *hash)
{
	struct str part[3];
	uint64_t rounds;

	for (size_t i = 0; i < ARRAY_LEN(part); i++) {
		if (!str_split(&rest, '$', &part[i])) {
			return false;
		}
	}
	if (!str_to_u64(part[0], &rounds) || rounds == 0 || rounds > SECRET_ROUNDS_MAX) {
		return false;
	}
	*out_rounds = (unsigned)rounds;
	return rest.n == 0 && base64url_decode(salt, part[1]) == ERR_OK &&
	       base64url_decode(hash, part[2]) == ERR_OK && salt->n > 0 && hash->n == SHA256_LEN;
}

static bool matches_pbkdf2(struct str stored, struct str secret)
{
	struct buf salt = {0}, want = {0};
	uint8_t hash[SHA256_LEN];
	bool same = false;
	unsigned rounds;

	if (read_pbkdf2(str_skip(stored, PBKDF2_PREFIX.n), &rounds, &salt, &want)) {
		crypto_pbkdf2_sha256(secret, buf_str(&salt), rounds, hash);
		same = crypto_eq(hash, buf_head(&want), sizeof(hash));
	}
	buf_free(&salt);
	buf_free(&want);
	return same;
}

bool secret_matches(struct str stored, struct str secret)
{
	uint8_t hash[SHA512_LEN];

	if (secret.n == 0 || secret.n > SECRET_LEN_MAX) {
		return false;
	}
	if (str_starts(stored, PBKDF2_PREFIX)) {
		return matches_pbkdf2(stored, secret);
	}
	if (stored.n == BASE64_LEN(SHA256_LEN)) {
		crypto_sha256(secret, hash);
		return matches_base64(stored, hash, SHA256_LEN);
	}
	if (stored.n == BASE64_LEN(SHA512_LEN)) {
		crypto_sha512(secret, hash);
		return matches_base64(stored, hash, SHA512_LEN);
	}
	return false;
}
