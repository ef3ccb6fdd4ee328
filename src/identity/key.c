/* SPDX-License-Identifier: MIT */
/*
 * key - see key.h
 *
 * A key holds one EVP_PKEY and its kind. Verification and signing go through
 * EVP_DigestVerify and EVP_DigestSign; OpenSSL speaks DER for EC signatures,
 * JOSE two numbers of fixed width, so those are converted here.
 */
#include "identity/key.h"

#include "base/enc.h"
#include "base/mem.h"
#include "tls/crypto.h"

#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define COORD_MAX 66			  /* bytes of a P-521 coordinate */
#define POINT_MAX (1 + 2 * COORD_MAX)	  /* uncompressed (SEC 1 2.3.3) */
#define NUMBER_MAX (KEY_RSA_BITS_MAX / 8) /* bytes of a modulus */
#define EXPONENT_MAX 4			  /* bytes; real ones have 3 */
#define PEM_MAX (size_t)(16 * 1024)	  /* far above any key we accept */
#define DER_SIG_MAX (2 * (COORD_MAX + 4) + 4)

struct key {
	EVP_PKEY *pkey;
	enum key_kind kind;
	bool is_private;
};

static const struct alg_info {
	struct str name;
	enum key_kind kind;
	const EVP_MD *(*md)(void);
	bool pss;
} algs[] = {
	[JWT_ALG_NONE] = {STR_INIT("none"), KEY_RSA, NULL, false},
	[JWT_RS256] = {STR_INIT("RS256"), KEY_RSA, EVP_sha256, false},
	[JWT_RS384] = {STR_INIT("RS384"), KEY_RSA, EVP_sha384, false},
	[JWT_RS512] = {STR_INIT("RS512"), KEY_RSA, EVP_sha512, false},
	[JWT_PS256] = {STR_INIT("PS256"), KEY_RSA, EVP_sha256, true},
	[JWT_PS384] = {STR_INIT("PS384"), KEY_RSA, EVP_sha384, true},
	[JWT_PS512] = {STR_INIT("PS512"), KEY_RSA, EVP_sha512, true},
	[JWT_ES256] = {STR_INIT("ES256"), KEY_P256, EVP_sha256, false},
	[JWT_ES384] = {STR_INIT("ES384"), KEY_P384, EVP_sha384, false},
	[JWT_ES512] = {STR_INIT("ES512"), KEY_P521, EVP_sha512, false},
};

static const struct curve {
	const char *jose;
	const char *group; /* OpenSSL's name */
	size_t coord_len;
} curves[] = {
	[KEY_P256] = {"P-256", "prime256v1", 32},
	[KEY_P384] = {"P-384", "secp384r1", 48},
	[KEY_P521] = {"P-521", "secp521r1", COORD_MAX},
};

enum jwt_alg jwt_alg_parse(struct str name)
{
	for (size_t i = JWT_RS256; i < ARRAY_LEN(algs); i++) {
		if (str_eq(algs[i].name, name)) {
			return (enum jwt_alg)i;
		}
	}
	return JWT_ALG_NONE;
}

struct str jwt_alg_name(enum jwt_alg alg)
{
	return algs[alg].name;
}

bool jwt_alg_fits(enum jwt_alg alg, enum key_kind kind)
{
	return alg != JWT_ALG_NONE && algs[alg].kind == kind;
}

/* Takes `pkey`. */
static struct key *key_new(EVP_PKEY *pkey, enum key_kind kind, bool is_private)
{
	struct key *key = MEM_NEW(struct key);

	key->pkey = pkey;
	key->kind = kind;
	key->is_private = is_private;
	return key;
}

void key_free(struct key **key)
{
	if (*key) {
		EVP_PKEY_free((*key)->pkey);
		mem_free(*key);
		*key = NULL;
	}
}

enum key_kind key_kind(const struct key *key)
{
	return key->kind;
}

bool key_is_private(const struct key *key)
{
	return key->is_private;
}

/* Takes `build` and what stands in it; NULL when OpenSSL refuses the material. */
static EVP_PKEY *public_from_params(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	ASSERT(params && ctx && EVP_PKEY_fromdata_init(ctx) == 1);
	if (EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
		pkey = NULL;
		ERR_clear_error();
	}
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	return pkey;
}

static struct str without_leading_zeros(struct str number)
{
	while (number.n > 0 && number.p[0] == '\0') {
		number = str_skip(number, 1);
	}
	return number;
}

static size_t bit_length(struct str number)
{
	unsigned top = number.n ? (unsigned char)number.p[0] : 0;
	size_t bits = number.n * 8;

	for (unsigned mask = 0x80; bits > 0 && !(top & mask); mask >>= 1) {
		bits--;
	}
	return bits;
}

static bool is_odd(struct str number)
{
	return number.n > 0 && (number.p[number.n - 1] & 1);
}

enum err key_from_rsa(struct str n, struct str e, struct key **out, struct fault *f)
{
	OSSL_PARAM_BLD *build;
	BIGNUM *bn_n, *bn_e;
	EVP_PKEY *pkey;

	n = without_leading_zeros(n);
	e = without_leading_zeros(e);
	if (n.n > NUMBER_MAX || bit_length(n) < KEY_RSA_BITS_MIN || !is_odd(n)) {
		return fault_set(f, ERR_INVALID, "RSA modulus must have %d to %d bits and be odd",
				 KEY_RSA_BITS_MIN, KEY_RSA_BITS_MAX);
	}
	if (e.n > EXPONENT_MAX || bit_length(e) < 2 || !is_odd(e)) {
		return fault_set(f, ERR_INVALID, "RSA exponent must be odd, from 3 to 2^32");
	}
	bn_n = BN_bin2bn((const unsigned char *)n.p, (int)n.n, NULL);
	bn_e = BN_bin2bn((const unsigned char *)e.p, (int)e.n, NULL);
	build = OSSL_PARAM_BLD_new();
	ASSERT(build && bn_n && bn_e &&
	       OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn_n) &&
	       OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, bn_e));
	pkey = public_from_params("RSA", build);
	BN_free(bn_n);
	BN_free(bn_e);
	if (!pkey) {
		return fault_set(f, ERR_INVALID, "RSA key refused");
	}
	*out = key_new(pkey, KEY_RSA, false);
	return ERR_OK;
}

enum err key_from_point(enum key_kind kind, struct str x, struct str y, struct key **out,
			struct fault *f)
{
	const struct curve *curve = &curves[kind];
	uint8_t point[POINT_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
	OSSL_PARAM_BLD *build;
	EVP_PKEY *pkey;

	ASSERT(kind != KEY_RSA);
	if (x.n != curve->coord_len || y.n != curve->coord_len) {
		return fault_set(f, ERR_INVALID, "coordinates of %s must have %zu bytes",
				 curve->jose, curve->coord_len);
	}
	memcpy(point + 1, x.p, x.n);
	memcpy(point + 1 + x.n, y.p, y.n);
	build = OSSL_PARAM_BLD_new();
	ASSERT(build &&
	       OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve->group,
					       0) &&
	       OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
						1 + 2 * curve->coord_len));
	pkey = public_from_params("EC", build);
	if (!pkey) {
		return fault_set(f, ERR_INVALID, "not a point on %s", curve->jose);
	}
	*out = key_new(pkey, kind, false);
	return ERR_OK;
}

struct key *key_generate(enum key_kind kind)
{
	EVP_PKEY *pkey = kind == KEY_RSA
				 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)KEY_RSA_BITS_MIN)
				 : EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[kind].group);

	ASSERT(pkey);
	return key_new(pkey, kind, true);
}

struct str key_pem(const struct key *key, struct str passphrase, struct arena *a)
{
	const EVP_CIPHER *cipher = passphrase.p ? EVP_aes_256_cbc() : NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	struct str pem;
	char *data;
	long n;

	ASSERT(key->is_private && bio && passphrase.n <= INT_MAX);
	ASSERT(PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, cipher, passphrase.p,
					     (int)passphrase.n, NULL, NULL) == 1);
	n = BIO_get_mem_data(bio, &data);
	pem = str_dup(a, str_of(data, (size_t)n));
	mem_wipe(data, (size_t)n);
	BIO_free(bio);
	return pem;
}

/* OpenSSL asks for the passphrase; without this it would ask the terminal. */
static int on_passphrase(char *out, int size, int writing, void *arg)
{
	const struct str *passphrase = arg;

	(void)writing;
	if (!passphrase->p || passphrase->n > (size_t)size) {
		return -1;
	}
	memcpy(out, passphrase->p, passphrase->n);
	return (int)passphrase->n;
}

static bool kind_of_pkey(const EVP_PKEY *pkey, enum key_kind *out)
{
	char group[32];

	if (EVP_PKEY_is_a(pkey, "RSA")) {
		*out = KEY_RSA;
		return EVP_PKEY_get_bits(pkey) >= KEY_RSA_BITS_MIN &&
		       EVP_PKEY_get_bits(pkey) <= KEY_RSA_BITS_MAX;
	}
	if (!EVP_PKEY_is_a(pkey, "EC") ||
	    EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1) {
		return false;
	}
	for (size_t kind = KEY_P256; kind < ARRAY_LEN(curves); kind++) {
		if (strcmp(group, curves[kind].group) == 0) {
			*out = (enum key_kind)kind;
			return true;
		}
	}
	return false;
}

enum err key_from_pem(struct str pem, struct str passphrase, struct key **out, struct fault *f)
{
	enum key_kind kind;
	EVP_PKEY *pkey;
	BIO *bio;

	if (pem.n > PEM_MAX) {
		return fault_set(f, ERR_LIMIT, "private key is longer than %zu bytes", PEM_MAX);
	}
	bio = BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.n);
	ASSERT(bio);
	pkey = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &passphrase);
	BIO_free(bio);
	ERR_clear_error();
	if (!pkey) {
		return fault_set(f, ERR_INVALID,
				 "not a private key in PEM, or another passphrase protects it");
	}
	if (!kind_of_pkey(pkey, &kind)) {
		EVP_PKEY_free(pkey);
		ERR_clear_error();
		return fault_set(f, ERR_INVALID,
				 "private key must be RSA of %d to %d bits, P-256, P-384 or P-521",
				 KEY_RSA_BITS_MIN, KEY_RSA_BITS_MAX);
	}
	*out = key_new(pkey, kind, true);
	return ERR_OK;
}

/* Appends a public number as base64url; `width` 0 = as short as possible. */
static void put_number(const struct key *key, const char *param, size_t width, struct buf *out)
{
	uint8_t bytes[NUMBER_MAX];
	BIGNUM *bn = NULL;
	int n;

	ASSERT(EVP_PKEY_get_bn_param(key->pkey, param, &bn) == 1);
	n = width ? (int)width : BN_num_bytes(bn);
	ASSERT((size_t)n <= sizeof(bytes) && BN_bn2binpad(bn, bytes, n) == n);
	BN_free(bn);
	base64url_encode(out, str_of(bytes, (size_t)n));
}

/* One member of the canonical JWK: name and base64url value. */
static void put_member(const struct key *key, struct json_writer *w, struct str name,
		       const char *param, size_t width)
{
	struct buf value = {0};

	put_number(key, param, width, &value);
	json_key(w, name);
	json_put_str(w, buf_str(&value));
	buf_free(&value);
}

/* Members in the order that RFC 7638 3.2 hashes: by name. */
void key_write_public(const struct key *key, struct json_writer *w)
{
	const struct curve *curve = &curves[key->kind];

	if (key->kind == KEY_RSA) {
		put_member(key, w, STR("e"), OSSL_PKEY_PARAM_RSA_E, 0);
		json_key(w, STR("kty"));
		json_put_str(w, STR("RSA"));
		put_member(key, w, STR("n"), OSSL_PKEY_PARAM_RSA_N, 0);
		return;
	}
	json_key(w, STR("crv"));
	json_put_str(w, str_c(curve->jose));
	json_key(w, STR("kty"));
	json_put_str(w, STR("EC"));
	put_member(key, w, STR("x"), OSSL_PKEY_PARAM_EC_PUB_X, curve->coord_len);
	put_member(key, w, STR("y"), OSSL_PKEY_PARAM_EC_PUB_Y, curve->coord_len);
}

struct str key_thumbprint(const struct key *key, struct arena *a)
{
	struct buf text = {0}, encoded = {0};
	struct json_writer w = json_writer_to(&text);
	uint8_t hash[SHA256_LEN];
	struct str out;

	json_begin_object(&w);
	key_write_public(key, &w);
	json_end_object(&w);
	crypto_sha256(buf_str(&text), hash);
	base64url_encode(&encoded, str_of(hash, sizeof(hash)));
	out = str_dup(a, buf_str(&encoded));
	buf_free(&text);
	buf_free(&encoded);
	return out;
}

/* PSS as RFC 7518 3.5: MGF1 with the same hash, salt as long as the hash. */
static bool set_padding(EVP_PKEY_CTX *ctx, const struct alg_info *alg)
{
	if (!alg->pss) {
		return true;
	}
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

/* Appends the JOSE form of a DER signature. */
static void put_raw_signature(const struct curve *curve, const uint8_t *der, size_t der_len,
			      struct buf *out)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)der_len);
	int n = (int)curve->coord_len;
	uint8_t raw[2 * COORD_MAX];

	ASSERT(sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, n) == n &&
	       BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + n, n) == n);
	ECDSA_SIG_free(sig);
	buf_append(out, raw, 2 * curve->coord_len);
}

void key_sign(const struct key *key, enum jwt_alg alg, struct str data, struct buf *out)
{
	const struct alg_info *info = &algs[alg];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	uint8_t sig[NUMBER_MAX];
	size_t n = sizeof(sig);

	ASSERT(key->is_private && jwt_alg_fits(alg, key->kind));
	ASSERT(ctx && EVP_DigestSignInit(ctx, &pctx, info->md(), NULL, key->pkey) == 1 &&
	       set_padding(pctx, info));
	ASSERT(EVP_DigestSign(ctx, sig, &n, (const unsigned char *)data.p, data.n) == 1);
	EVP_MD_CTX_free(ctx);
	if (key->kind == KEY_RSA) {
		buf_append(out, sig, n);
	} else {
		put_raw_signature(&curves[key->kind], sig, n, out);
	}
}

/* Length of the DER form, 0 when `raw` has not exactly two coordinates. */
static size_t der_of_raw(const struct curve *curve, struct str raw, uint8_t der[DER_SIG_MAX])
{
	ECDSA_SIG *sig;
	BIGNUM *r, *s;
	int n;

	if (raw.n != 2 * curve->coord_len) {
		return 0;
	}
	sig = ECDSA_SIG_new();
	r = BN_bin2bn((const unsigned char *)raw.p, (int)curve->coord_len, NULL);
	s = BN_bin2bn((const unsigned char *)raw.p + curve->coord_len, (int)curve->coord_len, NULL);
	ASSERT(sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1);
	ASSERT(i2d_ECDSA_SIG(sig, NULL) <= DER_SIG_MAX);
	n = i2d_ECDSA_SIG(sig, &der);
	ECDSA_SIG_free(sig);
	return n > 0 ? (size_t)n : 0;
}

static bool verify_bytes(const struct key *key, const struct alg_info *alg, struct str data,
			 struct str sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	bool ok;

	ASSERT(ctx && EVP_DigestVerifyInit(ctx, &pctx, alg->md(), NULL, key->pkey) == 1 &&
	       set_padding(pctx, alg));
	ok = EVP_DigestVerify(ctx, (const unsigned char *)sig.p, sig.n,
			      (const unsigned char *)data.p, data.n) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

bool key_verify(const struct key *key, enum jwt_alg alg, struct str data, struct str signature)
{
	uint8_t der[DER_SIG_MAX];

	if (!jwt_alg_fits(alg, key->kind) || signature.n == 0) {
		return false;
	}
	if (key->kind != KEY_RSA) {
		size_t n = der_of_raw(&curves[key->kind], signature, der);

		return n > 0 && verify_bytes(key, &algs[alg], data, str_of(der, n));
	}
	/* As long as the modulus (RFC 8017 8.1.2): OpenSSL takes PSS without its leading zeros too.
	 */
	return signature.n == (size_t)EVP_PKEY_get_size(key->pkey) &&
	       verify_bytes(key, &algs[alg], data, signature);
}
