package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// DirectoryOptions say where users log in besides the store. The names are of
// the contract's LDAP_* variables (2.1).
type DirectoryOptions struct {
	// Endpoint is ldap://host[:port] or ldaps://host[:port].
	Endpoint string
	// StartTLS makes ldap:// confidential before a password goes over it. With
	// ldap:// and without this, passwords cross the network as they are.
	StartTLS bool
	// CAFile holds the PEM certificates of who may sign the server's; empty:
	// whom this machine trusts. There is no way to trust any.
	CAFile string
	// BindDN and BindPassword are what Slipway searches as; both empty: nobody.
	BindDN, BindPassword string
	// UserBase is the DN users are searched below.
	UserBase string
	// UserAttribute holds the username: uid, or sAMAccountName of Active
	// Directory. Empty: username.
	UserAttribute string
	// GroupBase is the DN groups are searched below; empty: no groups.
	GroupBase string
	// GroupFilter chooses groups, such as objectClass=groupOfNames, with or
	// without parentheses. Empty: all that have the user as a member.
	GroupFilter string
	// Timeout bounds what one login waits for the directory. 0: 5 s. Too short
	// sends users of a slow directory away; too long lets local users wait for
	// one that is down.
	Timeout time.Duration
}

// Directory is an LDAP server (RFC 4511) that knows users and checks their
// passwords. Safe for concurrent use; it keeps no connection.
type Directory struct {
	options DirectoryOptions
	address string
	tls     *tls.Config
	whole   bool // TLS from the first byte
	turn    chan struct{}
}

// maxAsking bounds the connections to the directory.
const maxAsking = 32

// attributeForm is a name or an OID (RFC 4512, 1.4).
var attributeForm = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)*)$`)

// NewDirectory checks the options and reads the CA file. It asks nothing yet:
// a directory that is down keeps nobody from starting.
func NewDirectory(options DirectoryOptions) (*Directory, error) {
	d := &Directory{options: options, turn: make(chan struct{}, maxAsking)}
	if d.options.UserAttribute == "" {
		d.options.UserAttribute = "username"
	}
	if d.options.Timeout == 0 {
		d.options.Timeout = 5 * time.Second
	}
	filter, err := groupFilter(options.GroupFilter)
	if err != nil {
		return nil, err
	}
	d.options.GroupFilter = filter
	return d, errors.Join(d.validate(), d.resolve())
}

func (d *Directory) validate() error {
	switch {
	case d.options.UserBase == "":
		return errors.New("the directory has no user base DN, such as ou=people,dc=example,dc=com")
	case !attributeForm.MatchString(d.options.UserAttribute):
		return fmt.Errorf("the directory's user filter is the name of an attribute, such as uid, not %q", d.options.UserAttribute)
	case (d.options.BindDN == "") != (d.options.BindPassword == ""):
		// A DN without a password would be an unauthenticated bind (RFC 4513, 5.1.2).
		return errors.New("the directory's bind DN and bind password need each other")
	}
	dns := []string{d.options.UserBase, d.options.GroupBase}
	if !strings.ContainsAny(d.options.BindDN, `@\`) { // Active Directory also binds by user@domain and DOMAIN\user
		dns = append(dns, d.options.BindDN)
	}
	for _, dn := range dns {
		if _, err := ldap.ParseDN(dn); err != nil {
			return fmt.Errorf("%q is no DN: %w", dn, err)
		}
	}
	return nil
}

// groupFilter puts a filter in parentheses and checks it (RFC 4515).
func groupFilter(text string) (string, error) {
	if text == "" {
		text = "objectClass=*"
	}
	if !strings.HasPrefix(text, "(") {
		text = "(" + text + ")"
	}
	if _, err := ldap.CompileFilter(text); err != nil {
		return "", fmt.Errorf("the directory's group filter %q is none: %w", text, err)
	}
	return text, nil
}

// resolve makes address and TLS of the endpoint.
func (d *Directory) resolve() error {
	endpoint, err := url.Parse(d.options.Endpoint)
	if err != nil || endpoint.Hostname() == "" || endpoint.User != nil || strings.Trim(endpoint.Path, "/") != "" {
		return errors.New("the directory's endpoint is ldap://host:port or ldaps://host:port, without more")
	}
	ports := map[string]string{"ldap": "389", "ldaps": "636"}
	port, known := ports[endpoint.Scheme]
	if !known {
		return fmt.Errorf("the directory speaks ldap or ldaps, not %q", endpoint.Scheme)
	}
	if endpoint.Port() != "" {
		port = endpoint.Port()
	}
	d.address = net.JoinHostPort(endpoint.Hostname(), port)
	d.whole = endpoint.Scheme == "ldaps"
	if d.whole && d.options.StartTLS {
		return errors.New("the directory speaks TLS at ldaps:// already: no StartTLS there")
	}
	d.tls = &tls.Config{ServerName: endpoint.Hostname(), MinVersion: tls.VersionTLS12}
	if d.options.CAFile == "" {
		return nil
	}
	pem, err := os.ReadFile(d.options.CAFile)
	if err != nil {
		return fmt.Errorf("the directory's CA: %w", err)
	}
	d.tls.RootCAs = x509.NewCertPool()
	if !d.tls.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("the directory's CA: no certificate in %s", d.options.CAFile)
	}
	return nil
}

// InTheClear reports whether passwords cross a network unprotected.
func (d *Directory) InTheClear() bool {
	host, _, _ := net.SplitHostPort(d.address) // made by JoinHostPort
	address := net.ParseIP(host)
	local := host == "localhost" || (address != nil && address.IsLoopback())
	return !d.whole && !d.options.StartTLS && !local
}

// person is what the directory says of who logged in.
type person struct {
	username, firstName, lastName, email string
	groups                               []string // sorted; nil: it did not say
}

// The bounds of what is taken over.
const (
	maxGroups    = 200
	maxGroupName = 150 // characters
)

// personOf reads an entry; username is the entry's own writing of it.
func personOf(username string, entry *ldap.Entry) person {
	p := person{
		username:  username,
		firstName: tidy(entry.GetAttributeValue("givenName"), maxName),
		lastName:  tidy(entry.GetAttributeValue("sn"), maxName),
		email:     tidy(entry.GetAttributeValue("mail"), maxEmail),
	}
	if validEmail(p.email) != nil {
		p.email = ""
	}
	return p
}

// groupNames reads the common names of groups.
func groupNames(entries []*ldap.Entry) []string {
	names := []string{}
	for _, entry := range entries {
		if name := tidy(entry.GetAttributeValue("cn"), maxGroupName); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), maxGroups)]
}

// tidy makes a text of the directory one line of most characters.
func tidy(text string, most int) string {
	runes := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))))
	return string(runes[:min(len(runes), most)])
}
