package acme

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/slipway-paas/slipway/internal/platform"
)

// dynamic changes records by dynamic updates (RFC 2136), signed with a shared
// key (RFC 8945) where there is one.
type dynamic struct {
	server    string
	name      string // of the key; empty: unsigned
	algorithm string
	key       string
}

var tsigAlgorithms = map[string]string{
	"hmac-sha1": dns.HmacSHA1, "hmac-sha224": dns.HmacSHA224, "hmac-sha256": dns.HmacSHA256, "hmac-sha384": dns.HmacSHA384, "hmac-sha512": dns.HmacSHA512,
}

func newDynamic(settings map[string]string) (*dynamic, error) {
	d := &dynamic{server: settings["server"], key: settings["key"], algorithm: dns.HmacSHA256}
	if _, _, err := net.SplitHostPort(d.server); err != nil {
		if d.server == "" || strings.ContainsAny(d.server, " /") {
			return nil, fmt.Errorf("server: %q is not host:port: %w", d.server, platform.ErrInvalid)
		}
		d.server = net.JoinHostPort(strings.Trim(d.server, "[]"), "53")
	}
	if name := settings["key-name"]; name != "" {
		d.name = dns.CanonicalName(name)
		if raw, err := base64.StdEncoding.DecodeString(d.key); err != nil || len(raw) == 0 {
			return nil, fmt.Errorf("key: it is no base64: %w", platform.ErrInvalid) // says nothing of the key
		}
	}
	if wish := settings["key-algorithm"]; wish != "" {
		algorithm, found := tsigAlgorithms[strings.ToLower(strings.TrimSuffix(wish, "."))]
		if !found {
			return nil, fmt.Errorf("key-algorithm: %q is none of hmac-sha1, -sha224, -sha256, -sha384, -sha512: %w", wish, platform.ErrInvalid)
		}
		d.algorithm = algorithm
	}
	return d, nil
}

// AppendRecords implements libdns.RecordAppender.
func (d *dynamic) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return records, d.update(ctx, zone, records, (*dns.Msg).Insert)
}

// DeleteRecords implements libdns.RecordDeleter.
func (d *dynamic) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return records, d.update(ctx, zone, records, (*dns.Msg).Remove)
}

func (d *dynamic) update(ctx context.Context, zone string, records []libdns.Record, change func(*dns.Msg, []dns.RR)) error {
	msg := new(dns.Msg)
	msg.SetUpdate(dns.Fqdn(zone))
	for _, r := range records {
		rr, err := recordOf(zone, r)
		if err != nil {
			return err
		}
		change(msg, []dns.RR{rr})
	}
	client := &dns.Client{Net: "tcp", Timeout: 10 * time.Second}
	if d.name != "" {
		client.TsigSecret = map[string]string{d.name: d.key}
		msg.SetTsig(d.name, d.algorithm, 300, time.Now().Unix())
	}
	answer, _, err := client.ExchangeContext(ctx, msg, d.server)
	switch {
	case err != nil:
		return fmt.Errorf("update %s at %s: %w", zone, d.server, err)
	case answer.Rcode != dns.RcodeSuccess:
		return fmt.Errorf("update %s at %s: it answered %s", zone, d.server, dns.RcodeToString[answer.Rcode])
	}
	return nil
}

// recordOf is a TXT record as DNS writes it: no other is needed here.
func recordOf(zone string, record libdns.Record) (dns.RR, error) {
	rr := record.RR()
	if rr.Type != "TXT" {
		return nil, errNoRecord
	}
	return &dns.TXT{
		Hdr: dns.RR_Header{Name: dns.Fqdn(libdns.AbsoluteName(rr.Name, zone)), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: uint32(rr.TTL / time.Second)},
		Txt: []string{rr.Data},
	}, nil
}
