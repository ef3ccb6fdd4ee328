/* The certificate of a server that was given none. */
#include "net/addr.h"
#include "tls/tls_int.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define NAME_LEN_MAX 64 /* of a common name, RFC 5280 */

static struct str take_text(struct arena *a, BIO *b)
{
	char *p = NULL;
	long n = BIO_get_mem_data(b, &p);

	return str_dup(a, str_of(p, n > 0 ? (size_t)n : 0));
}

static bool add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool set_serial(X509 *x)
{
	uint64_t serial = 0;

	return RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1 | 1) == 1;
}

static bool fill(X509 *x, EVP_PKEY *key, const char *name, const char *alt, unsigned days)
{
	X509_NAME *subject = X509_get_subject_name(x);

	return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
	       X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
	       X509_gmtime_adj(X509_getm_notAfter(x), (long)days * 86400) &&
	       X509_set_pubkey(x, key) == 1 &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name,
					  -1, -1, 0) == 1 &&
	       X509_set_issuer_name(x, subject) == 1 &&
	       add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x, NID_subject_alt_name, alt) && X509_sign(x, key, EVP_sha256()) > 0;
}

static bool write(struct arena *a, X509 *x, EVP_PKEY *key, struct tls_pem *out)
{
	BIO *cert = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_secmem());
	bool ok = PEM_write_bio_X509(cert, x) == 1 &&
		  PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1;

	if (ok) {
		out->cert = take_text(a, cert);
		out->key = take_text(a, secret);
	}
	BIO_free(cert);
	BIO_free(secret);
	return ok;
}

enum err tls_self_signed(struct arena *a, enum tls_key_kind kind, struct str name, unsigned days,
			 struct tls_pem *out, struct fault *f)
{
	struct addr ip;
	bool is_ip = addr_from_ip(name, 0, &ip) == ERR_OK;
	const char *cn = str_cstr(a, name);
	const char *alt = str_cstr(a, str_fmt(a, "%s:%s", is_ip ? "IP" : "DNS", cn));
	EVP_PKEY *key;
	X509 *x;
	bool ok;

	if (name.n == 0 || name.n > NAME_LEN_MAX || str_index(name, ',') >= 0) {
		return fault_set(f, ERR_INVALID, "no name for a certificate");
	}
	key = kind == TLS_KEY_RSA ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	x = X509_new();
	ok = key && x && fill(x, key, cn, alt, days) && write(a, x, key, out);
	X509_free(x);
	EVP_PKEY_free(key);
	if (!ok) {
		return fault_set(f, ERR_INTERNAL, "cannot make a certificate: %s", tls_reason());
	}
	return ERR_OK;
}
