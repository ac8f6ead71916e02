#include <openssl/err.h>
#include <string.h>
#include "base/error.h"
#include "rpc/internal.h"

static const unsigned char h2[] = "\2h2"; /* a list of one protocol, each behind its length */

#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20" /* of TLS 1.2's, those that HTTP/2 allows */

static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_size,
                           const unsigned char *offered, unsigned int size, void *context) {
  (void)ssl, (void)context;
  unsigned char *chosen;
  if (SSL_select_next_proto(&chosen, ret_size, h2, sizeof h2 - 1, offered, size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *ret = chosen;
  return SSL_TLSEXT_ERR_OK;
}

static int failed(struct brig_error *err, const char *what, const char *path) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  int rc = brig__fail(err, BRIG_E_CONFIG, "tls", "%s %s: %s", what, path,
                      reason != NULL ? reason : "OpenSSL refuses it");
  ERR_clear_error();
  return rc;
}

static int load(SSL_CTX *tls, const struct rpc_settings *settings, struct brig_error *err) {
  if (SSL_CTX_set_cipher_list(tls, CIPHERS) != 1) return failed(err, "ciphers", CIPHERS);
  if (SSL_CTX_use_certificate_chain_file(tls, settings->tls_certificate) != 1)
    return failed(err, "certificate", settings->tls_certificate);
  if (SSL_CTX_use_PrivateKey_file(tls, settings->tls_key, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(tls) != 1)
    return failed(err, "key", settings->tls_key);
  if (settings->tls_client_ca == NULL) return 0;
  STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(settings->tls_client_ca);
  if (names == NULL || SSL_CTX_load_verify_file(tls, settings->tls_client_ca) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return failed(err, "clients' certificate authority", settings->tls_client_ca);
  }
  SSL_CTX_set_client_CA_list(tls, names);
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  return 0;
}

int brig__rpc_tls_open(const struct rpc_settings *settings, SSL_CTX **ret_tls,
                       struct brig_error *err) {
  SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
  if (tls == NULL) return brig__fail(err, BRIG_E_MEMORY, "tls", "out of memory");
  SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
  /* Each connection shows its certificate afresh: nothing to resume. */
  SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_alpn_select_cb(tls, choose_protocol, NULL);
  int rc = load(tls, settings, err);
  if (rc < 0) {
    SSL_CTX_free(tls);
    return rc;
  }
  *ret_tls = tls;
  return 0;
}

bool brig__rpc_tls_is_h2(const SSL *ssl) {
  const unsigned char *chosen;
  unsigned int size;
  SSL_get0_alpn_selected(ssl, &chosen, &size);
  return size == 2 && memcmp(chosen, "h2", 2) == 0;
}

/* What is not printable ASCII comes escaped. */
static char *name_text(const X509_NAME *name) {
  BIO *bio = BIO_new(BIO_s_mem());
  char *text = NULL, *data;
  if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
    long size = BIO_get_mem_data(bio, &data);
    text = strndup(data, (size_t)size);
  }
  BIO_free(bio);
  return text;
}

char *brig__rpc_tls_subject(const SSL *ssl) {
  X509 *certificate = SSL_get1_peer_certificate(ssl);
  if (certificate == NULL) return NULL;
  char *text = name_text(X509_get_subject_name(certificate));
  X509_free(certificate);
  return text;
}
