package staple

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"golang.org/x/crypto/ocsp"
)

// maxAnswer bounds what is read of a responder, in bytes; routers staple it to
// every handshake.
const maxAnswer = 16 << 10

// skew is how far responders' clocks may be ahead.
const skew = 5 * time.Minute

var errPrivate = errors.New("it is at an address of this network (see --ocsp-private)")

// newClient asks responders: what they redirect to is not asked, nor, unless it
// is wanted, what is at addresses that strangers cannot reach.
func newClient(opt Options) *http.Client {
	dialer := net.Dialer{Timeout: opt.Timeout, Control: func(_, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		if err != nil || !opt.Private && !public(addr.Addr().Unmap()) {
			return errPrivate
		}
		return nil
	}}
	return &http.Client{
		Timeout:       opt.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswer},
	}
}

// shared is of carriers' own networks (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

func public(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && !shared.Contains(addr)
}

// word is what a responder says.
type word struct{ from, until time.Time }

// refresh is when to ask again: half-way, and not all at once.
func (w word) refresh(now time.Time) time.Time {
	half := w.from.Add(w.until.Sub(w.from) / 2)
	if least := now.Add(min(w.until.Sub(now)/2, time.Hour)); half.Before(least) {
		return least
	}
	return half
}

// fetch asks a certificate's responders, one after the other.
func (s *Stapler) fetch(one *subject) (text []byte, w word, err error) {
	question, err := ocsp.CreateRequest(one.leaf, one.issuer, nil)
	if err != nil {
		return nil, w, err
	}
	var wrong []error
	for _, at := range one.leaf.OCSPServer[:min(len(one.leaf.OCSPServer), 2)] {
		if text, err = s.post(at, question); err == nil {
			w, err = read(text, one.leaf, one.issuer, time.Now())
		}
		if err == nil {
			return text, w, nil
		}
		wrong = append(wrong, fmt.Errorf("%.100s: %w", at, err))
	}
	return nil, w, errors.Join(wrong...)
}

func (s *Stapler) post(at string, question []byte) ([]byte, error) {
	if u, err := url.Parse(at); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return nil, errors.New("it is no address of a responder")
	}
	ctx, cancel := context.WithTimeout(s.life, s.opt.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %d", res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
	}
	return text, err
}

// read checks a responder's answer: that it is about the certificate, signed by
// who signed that or by who may speak for them, good, and holds now. Any other
// would do harm in a handshake, or say nothing.
func read(text []byte, leaf, issuer *x509.Certificate, now time.Time) (w word, err error) {
	if issuer == nil || len(text) == 0 {
		return w, errors.New("there is no answer")
	}
	res, err := ocsp.ParseResponse(text, issuer)
	if err != nil {
		return w, err
	}
	w = word{res.ThisUpdate, res.NextUpdate}
	speaker := res.Certificate
	switch {
	case res.SerialNumber.Cmp(leaf.SerialNumber) != 0:
		return w, errors.New("its answer is about another certificate")
	case speaker != nil && !speaker.Equal(issuer) && !slices.Contains(speaker.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return w, errors.New("its answer is signed by who may not") // RFC 6960, 4.2.2.2: anybody has a certificate of the issuer's
	case speaker != nil && (now.After(speaker.NotAfter) || now.Before(speaker.NotBefore)):
		return w, errors.New("its answer is signed with a certificate that does not hold now")
	case res.Status == ocsp.Revoked:
		return w, errors.New("the certificate is revoked: replace it")
	case res.Status != ocsp.Good:
		return w, errors.New("it does not know the certificate")
	case w.until.IsZero(), now.After(w.until), w.from.After(now.Add(skew)):
		return w, fmt.Errorf("its answer does not hold now: from %s until %s", w.from.UTC(), w.until.UTC())
	}
	return w, nil
}

// mustStaple reports whether clients refuse a certificate without a staple (RFC
// 7633).
func mustStaple(leaf *x509.Certificate) bool {
	for _, extension := range leaf.Extensions {
		var features []int
		if extension.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}) {
			_, err := asn1.Unmarshal(extension.Value, &features)
			return err == nil && slices.Contains(features, 5)
		}
	}
	return false
}
