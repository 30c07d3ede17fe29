#pragma once
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

// What OpenSSL has as macros, which Swift does not see.
static inline long swiftwater_tls_set_name(SSL *tls, const char *name) { return SSL_set_tlsext_host_name(tls, name); }
static inline long swiftwater_tls_set_minimum(SSL_CTX *context) { return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION); }
static inline void swiftwater_tls_set_retry(SSL *tls) { SSL_set_mode(tls, SSL_MODE_AUTO_RETRY); }
static inline BIO *swiftwater_memory(const void *bytes, int count) { return BIO_new_mem_buf(bytes, count); }
// A password for a key; `user` is a C string.
static inline int swiftwater_password(char *buffer, int size, int writing, void *user) {
    (void)writing;
    const char *password = (const char *)user;
    int n = 0;
    while (password && password[n] && n < size) { buffer[n] = password[n]; n++; }
    return n;
}
static inline void swiftwater_tls_set_password(SSL_CTX *context, char *password) {
    SSL_CTX_set_default_passwd_cb(context, swiftwater_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, password);
}
