package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// signIn finds the one entry of the username and binds as it. It returns
// errMismatch for who is not there, whom admits refuses (it is asked with the
// username as the entry writes it) and whose password is another; any other
// error means that the directory did not say.
//
// Whatever the reason for errMismatch, the server is asked the same number of
// times: how long it takes tells nobody who is there.
func (d *Directory) signIn(ctx context.Context, username, password string, admits func(name string) (bool, error)) (person, error) {
	if password == "" { // a bind without one succeeds for everybody (RFC 4513, 5.1.2)
		return person{}, errMismatch
	}
	ctx, cancel := context.WithTimeout(ctx, d.options.Timeout)
	defer cancel()
	c, hangUp, err := d.connect(ctx)
	if err != nil {
		return person{}, err
	}
	defer hangUp()
	if err := d.bindSelf(c); err != nil {
		return person{}, err
	}
	entry, name, err := d.find(c, username)
	if err != nil {
		return person{}, err
	}
	if entry != nil {
		admitted, err := admits(name)
		if err != nil {
			return person{}, err
		}
		if !admitted {
			entry = nil
		}
	}
	if entry == nil {
		_ = c.Bind("cn="+newToken()+","+d.options.UserBase, newToken()) // nobody
		return person{}, errMismatch
	}
	if err := bindAs(c, entry.DN, password); err != nil {
		return person{}, err
	}
	found := personOf(name, entry)
	found.groups = d.groups(c, entry.DN, name)
	return found, nil
}

func bindAs(c *ldap.Conn, dn, password string) error {
	err := c.Bind(dn, password)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		return errMismatch
	}
	if err != nil {
		return fmt.Errorf("bind as %s: %w", dn, err)
	}
	return nil
}

// bindSelf makes the connection Slipway's own, or nobody's again.
func (d *Directory) bindSelf(c *ldap.Conn) error {
	if d.options.BindDN == "" {
		return c.UnauthenticatedBind("") // anonymous (RFC 4513, 5.1.1)
	}
	if err := c.Bind(d.options.BindDN, d.options.BindPassword); err != nil {
		return fmt.Errorf("bind as Slipway's own %s: %w", d.options.BindDN, err)
	}
	return nil
}

// find returns the only entry of the username and how the entry writes it; no
// entry when there is none.
func (d *Directory) find(c *ldap.Conn, username string) (*ldap.Entry, string, error) {
	attribute := d.options.UserAttribute
	result, err := c.Search(ldap.NewSearchRequest(d.options.UserBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false,
		fmt.Sprintf("(%s=%s)", attribute, ldap.EscapeFilter(username)),
		[]string{attribute, "givenName", "sn", "mail"}, nil))
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || (err == nil && len(result.Entries) > 1) {
		return nil, "", fmt.Errorf("%d or more entries have %s %q: nobody can log in by that name", 2, attribute, username)
	}
	if err != nil {
		return nil, "", fmt.Errorf("search for a user: %w", err)
	}
	if len(result.Entries) == 0 {
		return nil, "", nil
	}
	entry := result.Entries[0]
	// Directories compare without case. We do not: one person, one account.
	for _, name := range entry.GetEqualFoldAttributeValues(attribute) {
		if strings.EqualFold(name, username) {
			return entry, name, nil
		}
	}
	return nil, "", fmt.Errorf("%s shows no %s to Slipway", entry.DN, attribute)
}

// groups are those with the user as a member, of the three ways to say so; nil
// when they are not asked for, or the directory does not say.
func (d *Directory) groups(c *ldap.Conn, dn, username string) []string {
	if d.options.GroupBase == "" {
		return []string{}
	}
	if d.bindSelf(c) != nil { // the user may not see groups
		return nil
	}
	dn, username = ldap.EscapeFilter(dn), ldap.EscapeFilter(username)
	result, err := c.Search(ldap.NewSearchRequest(d.options.GroupBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, maxGroups, 0, false,
		fmt.Sprintf("(&%s(|(member=%s)(uniqueMember=%s)(memberUid=%s)))", d.options.GroupFilter, dn, dn, username), []string{"cn"}, nil))
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return nil
	}
	return groupNames(result.Entries)
}

// maxAnswer bounds what one login reads of the directory.
const maxAnswer = 4 << 20

// connect dials, by TLS if so configured. Everything on the connection ends by
// ctx; hangUp must be called.
func (d *Directory) connect(ctx context.Context) (*ldap.Conn, func(), error) {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("too many logins wait for the directory: %w", ctx.Err())
	}
	c, hangUp, err := d.dial(ctx)
	if err != nil {
		<-d.turn
		return nil, nil, fmt.Errorf("directory %s: %w", d.address, err)
	}
	return c, func() { hangUp(); <-d.turn }, nil
}

func (d *Directory) dial(ctx context.Context) (*ldap.Conn, func(), error) {
	var dialer net.Dialer
	wire, err := dialer.DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, nil, err
	}
	cut := context.AfterFunc(ctx, func() { wire.Close() })
	deadline, _ := ctx.Deadline() // signIn set one
	conn := net.Conn(&bounded{Conn: wire, left: maxAnswer})
	err = wire.SetDeadline(deadline)
	if d.whole && err == nil {
		secure := tls.Client(conn, d.tls)
		conn, err = secure, secure.HandshakeContext(ctx)
	}
	if err != nil {
		cut()
		wire.Close()
		return nil, nil, err
	}
	c := ldap.NewConn(conn, d.whole)
	c.SetTimeout(time.Until(deadline))
	c.Start()
	hangUp := func() { cut(); c.Close() }
	if d.options.StartTLS {
		if err := c.StartTLS(d.tls.Clone()); err != nil {
			hangUp()
			return nil, nil, fmt.Errorf("StartTLS: %w", err)
		}
	}
	return c, hangUp, nil
}

// bounded is a connection that reads so much and no more.
type bounded struct {
	net.Conn
	left int64
}

var errTooLong = errors.New("the directory's answer is too long")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
