package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"golang.org/x/time/rate"

	"github.com/slipway-paas/slipway/internal/platform"
)

// authority is an ACME server and our account there: certmagic's Issuer. The
// account's key is kept in the store, so that all processes have one account.
type authority struct {
	log     *slog.Logger
	opt     Options
	storage *storage
	solvers map[string]acmez.Solver
	key     string // names it in the store
	http    *http.Client
	pace    *rate.Limiter // of orders

	mu      sync.Mutex
	account *acme.Account
}

var (
	_ certmagic.Issuer            = (*authority)(nil)
	_ certmagic.RenewalInfoGetter = (*authority)(nil)
)

func newAuthority(log *slog.Logger, storage *storage, solvers map[string]acmez.Solver, opt Options) (*authority, error) {
	u, err := url.Parse(opt.Directory)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not the https:// address of an ACME directory: %w", opt.Directory, platform.ErrInvalid)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(opt.Roots) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(opt.Roots) {
			return nil, fmt.Errorf("the authority's roots hold no certificate in PEM: %w", platform.ErrInvalid)
		}
	}
	return &authority{
		log: log, opt: opt, storage: storage, solvers: solvers,
		key: certmagic.StorageKeys.Safe(u.Host + u.Path), pace: rate.NewLimiter(rate.Every(orderPause), orderBurst),
		http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 25 * time.Second, IdleConnTimeout: 30 * time.Second,
		}},
	}, nil
}

// IssuerKey names the authority in the store: another directory's certificates
// are looked for elsewhere.
func (a *authority) IssuerKey() string { return a.key }

// client is one that proves a name, by what it may be proven by.
func (a *authority) client(name string) *acmez.Client {
	c := &acmez.Client{
		Client: &acme.Client{
			Directory: a.opt.Directory, HTTPClient: a.http, UserAgent: "slipway",
			PollTimeout: 2 * time.Minute, Logger: slog.New(quieter{a.log.Handler()}),
		},
		ChallengeSolvers: map[string]acmez.Solver{},
	}
	if strings.HasPrefix(name, "*.") {
		c.ChallengeSolvers[acme.ChallengeTypeDNS01] = a.solvers[acme.ChallengeTypeDNS01]
		return c
	}
	for _, kind := range a.opt.Challenges {
		if solver := a.solvers[kind]; solver != nil {
			c.ChallengeSolvers[kind] = solver
		}
	}
	return c
}

// Issue gets a certificate for what csr names.
func (a *authority) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	if len(csr.DNSNames) != 1 {
		return nil, fmt.Errorf("a certificate is for one name: %w", platform.ErrInvalid)
	}
	name := csr.DNSNames[0]
	chains, err := a.order(ctx, name, csr)
	if problem, told := errors.AsType[acme.Problem](err); told && problem.Type == acme.ProblemTypeAccountDoesNotExist {
		// The authority was set up anew, or forgot us.
		if err := a.forget(ctx); err != nil {
			return nil, err
		}
		chains, err = a.order(ctx, name, csr)
	}
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, fmt.Errorf("the authority gave no chain for %s", name)
	}
	return &certmagic.IssuedCertificate{Certificate: chains[0].ChainPEM, Metadata: chains[0]}, nil
}

func (a *authority) order(ctx context.Context, name string, csr *x509.CertificateRequest) ([]acme.Certificate, error) {
	client := a.client(name)
	account, err := a.open(ctx, client)
	if err != nil {
		return nil, err
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, err
	}
	params.Replaces = a.replaced(ctx, name, account)
	if err := a.pace.Wait(ctx); err != nil {
		return nil, err
	}
	return client.ObtainCertificate(ctx, params)
}

// replaced is the certificate that the new one takes the place of: saying so
// gets past the authority's limits (RFC 9773, 5).
func (a *authority) replaced(ctx context.Context, name string, account acme.Account) *x509.Certificate {
	text, err := a.storage.Load(ctx, certmagic.StorageKeys.SiteMeta(a.key, name))
	if err != nil {
		return nil
	}
	var kept certmagic.CertificateResource
	var meta acme.Certificate
	if json.Unmarshal(text, &kept) != nil || json.Unmarshal(kept.IssuerData, &meta) != nil ||
		meta.RenewalInfo == nil || meta.CA != a.opt.Directory || meta.Account != account.Location {
		return nil
	}
	chain, err := a.storage.Load(ctx, certmagic.StorageKeys.SiteCert(a.key, name))
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return leaf
}

// GetRenewalInfo asks when a certificate should be renewed (RFC 9773).
func (a *authority) GetRenewalInfo(ctx context.Context, cert certmagic.Certificate) (acme.RenewalInfo, error) {
	return a.client("").GetRenewalInfo(ctx, cert.Leaf)
}

// keptAccount is an account as it is stored.
type keptAccount struct {
	Account acme.Account `json:"account"`
	Key     []byte       `json:"key"` // SEC 1
}

func (a *authority) accountKey() string { return "accounts/" + a.key + "/account.json" }

// open is our account, made at the first call.
func (a *authority) open(ctx context.Context, client *acmez.Client) (acme.Account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.account != nil {
		return *a.account, nil
	}
	lock := "account " + a.key
	if err := a.storage.Lock(ctx, lock); err != nil {
		return acme.Account{}, err
	}
	defer func() {
		if err := a.storage.Unlock(ctx, lock); err != nil {
			a.log.Warn("a lock was not given back", "lock", lock, "err", err)
		}
	}()
	account, err := a.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		account, err = a.register(ctx, client)
	}
	if err != nil {
		return acme.Account{}, err
	}
	a.account = &account
	return account, nil
}

func (a *authority) load(ctx context.Context) (acme.Account, error) {
	text, err := a.storage.Load(ctx, a.accountKey())
	if err != nil {
		return acme.Account{}, err
	}
	var kept keptAccount
	if err := json.Unmarshal(text, &kept); err != nil {
		return acme.Account{}, fmt.Errorf("read the account at the authority: %w", err)
	}
	key, err := x509.ParseECPrivateKey(kept.Key)
	if err != nil {
		return acme.Account{}, fmt.Errorf("read the account's key: %w", err)
	}
	kept.Account.PrivateKey = key
	return kept.Account, nil
}

func (a *authority) register(ctx context.Context, client *acmez.Client) (acme.Account, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return acme.Account{}, err
	}
	account := acme.Account{TermsOfServiceAgreed: true, PrivateKey: key}
	if a.opt.Email != "" {
		account.Contact = []string{"mailto:" + a.opt.Email}
	}
	if a.opt.EABKey != "" {
		if err := account.SetExternalAccountBinding(ctx, client.Client, acme.EAB{KeyID: a.opt.EABKey, MACKey: a.opt.EABSecret}); err != nil {
			return acme.Account{}, fmt.Errorf("bind the account to %s: %w", a.opt.EABKey, err)
		}
	}
	if account, err = client.NewAccount(ctx, account); err != nil {
		return acme.Account{}, fmt.Errorf("register at the authority: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return acme.Account{}, err
	}
	text, err := json.Marshal(keptAccount{account, der})
	if err != nil {
		return acme.Account{}, err
	}
	account.PrivateKey = key
	a.log.Info("account at the certificate authority was made", "directory", a.opt.Directory, "account", account.Location)
	return account, a.storage.Store(ctx, a.accountKey(), text)
}

func (a *authority) forget(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account = nil
	return a.storage.Delete(ctx, a.accountKey())
}
