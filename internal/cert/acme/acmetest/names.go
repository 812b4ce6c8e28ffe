package acmetest

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Names is a name server for some zones. Every name in them is this machine, as
// long as it has no records of its own. It takes dynamic updates that are signed
// with its key, and the records that files of a directory hold.
type Names struct {
	// Address is host:port.
	Address string

	zones   []string
	dir     string
	servers []*dns.Server

	mu      sync.Mutex
	texts   map[string][]string // TXT, by name
	Updates int                 // that were taken
}

// KeyName and Key are what updates are signed with.
const (
	KeyName = "slipway-test."
	Key     = "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXMgLi4="
)

// StartNames starts a name server at address, "127.0.0.1:0" for any. Files of
// dir are TXT records: the name is the file's, each line a value.
func StartNames(address, dir string, zones ...string) (*Names, error) {
	packets, listener, err := listen(address)
	if err != nil {
		return nil, err
	}
	n := &Names{Address: listener.Addr().String(), dir: dir, texts: map[string][]string{}}
	for _, zone := range zones {
		n.zones = append(n.zones, dns.CanonicalName(zone))
	}
	secrets := map[string]string{KeyName: Key}
	accept := func(header dns.Header) dns.MsgAcceptAction {
		if opcode := int(header.Bits>>11) & 0xF; opcode == dns.OpcodeUpdate {
			return dns.MsgAccept
		}
		return dns.DefaultMsgAcceptFunc(header)
	}
	for _, server := range []*dns.Server{
		{PacketConn: packets, Handler: n, TsigSecret: secrets, MsgAcceptFunc: accept},
		{Listener: listener, Handler: n, TsigSecret: secrets, MsgAcceptFunc: accept},
	} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		n.servers = append(n.servers, server)
		go func() { _ = server.ActivateAndServe() }() // Close ends it
		<-started
	}
	return n, nil
}

// listen takes the same port for both; where any will do, one that is free for both.
func listen(address string) (net.PacketConn, net.Listener, error) {
	for try := 0; ; try++ {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return nil, nil, err
		}
		packets, err := net.ListenPacket("udp", listener.Addr().String())
		if err == nil {
			return packets, listener, nil
		}
		listener.Close()
		if try == 50 || !strings.HasSuffix(address, ":0") {
			return nil, nil, err
		}
	}
}

// Close ends it.
func (n *Names) Close() {
	for _, server := range n.servers {
		_ = server.Shutdown()
	}
}

// Texts are the values of a name's TXT records.
func (n *Names) Texts(name string) []string {
	name = dns.CanonicalName(name)
	n.mu.Lock()
	texts := slices.Clone(n.texts[name])
	n.mu.Unlock()
	if n.dir != "" {
		if text, err := os.ReadFile(filepath.Join(n.dir, strings.TrimSuffix(name, "."))); err == nil {
			texts = append(texts, strings.Fields(string(text))...)
		}
	}
	return texts
}

// Change adds a value to a name's TXT records, or takes it away.
func (n *Names) Change(name, value string, add bool) {
	name = dns.CanonicalName(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.texts[name] = slices.DeleteFunc(n.texts[name], func(other string) bool { return other == value })
	if add {
		n.texts[name] = append(n.texts[name], value)
	}
}

// ServeDNS implements dns.Handler.
func (n *Names) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	answer := new(dns.Msg)
	answer.SetReply(req)
	answer.Authoritative = true
	if req.Opcode == dns.OpcodeUpdate {
		answer.Rcode = n.update(w, req)
		if tsig := req.IsTsig(); tsig != nil {
			answer.SetTsig(tsig.Hdr.Name, tsig.Algorithm, 300, int64(tsig.TimeSigned))
		}
	} else if len(req.Question) == 1 {
		n.answer(answer, req.Question[0])
	}
	_ = w.WriteMsg(answer) // who asked may be gone
}

func (n *Names) update(w dns.ResponseWriter, req *dns.Msg) int {
	if req.IsTsig() == nil || w.TsigStatus() != nil {
		return dns.RcodeRefused
	}
	if len(req.Question) != 1 || !slices.Contains(n.zones, dns.CanonicalName(req.Question[0].Name)) {
		return dns.RcodeNotAuth
	}
	for _, rr := range req.Ns {
		if text, ok := rr.(*dns.TXT); ok {
			n.Change(text.Hdr.Name, strings.Join(text.Txt, ""), text.Hdr.Class == dns.ClassINET)
		}
	}
	n.mu.Lock()
	n.Updates++
	n.mu.Unlock()
	return dns.RcodeSuccess
}

func (n *Names) answer(answer *dns.Msg, question dns.Question) {
	name := dns.CanonicalName(question.Name)
	header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET}
	soa := func(zone string) dns.RR {
		return &dns.SOA{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: "ns." + zone, Mbox: "admin." + zone, Serial: 1, Refresh: 1, Retry: 1, Expire: 1, Minttl: 1}
	}
	zone := ""
	for _, z := range n.zones {
		if dns.IsSubDomain(z, name) && len(z) > len(zone) {
			zone = z
		}
	}
	if zone == "" {
		answer.Rcode = dns.RcodeNameError
		return
	}
	switch question.Qtype {
	case dns.TypeSOA:
		if name == zone {
			answer.Answer = append(answer.Answer, soa(zone))
		}
	case dns.TypeA:
		answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
	case dns.TypeTXT:
		for _, text := range n.Texts(name) {
			answer.Answer = append(answer.Answer, &dns.TXT{Hdr: header, Txt: []string{text}})
		}
	}
	if len(answer.Answer) == 0 {
		answer.Ns = append(answer.Ns, soa(zone))
	}
}
