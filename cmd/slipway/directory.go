package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/slipway-paas/slipway/internal/auth"
)

func (o *options) directoryFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.LDAP.Endpoint, "ldap-endpoint", "", "ldap://… or ldaps://… of a directory whose users may log in; its own password is in the environment, SLIPWAY_LDAP_BIND_PASSWORD")
	flags.BoolVar(&o.LDAP.StartTLS, "ldap-start-tls", false, "with ldap://: StartTLS before any password")
	flags.StringVar(&o.LDAP.CAFile, "ldap-ca", "", "file of who signs the directory's certificate; empty: whom this machine trusts")
	flags.StringVar(&o.LDAP.BindDN, "ldap-bind-dn", "", "what the directory is searched as; empty: nobody")
	flags.StringVar(&o.LDAPPasswordFile, "ldap-bind-password-file", "", "file of the password of --ldap-bind-dn, instead of the environment")
	flags.StringVar(&o.LDAP.UserBase, "ldap-user-basedn", "", "where the directory has its users")
	flags.StringVar(&o.LDAP.UserAttribute, "ldap-user-filter", "username", "attribute of the username: uid, or sAMAccountName")
	flags.StringVar(&o.LDAP.GroupBase, "ldap-group-basedn", "", "where the directory has its groups; empty: none")
	flags.StringVar(&o.LDAP.GroupFilter, "ldap-group-filter", "", "which of them, such as objectClass=groupOfNames; empty: all")
}

// variables are those of the environment that set a flag, the last one given
// counts. Those of the directory also go by their names without ours.
func variables(flag string) []string {
	name := strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	if strings.HasPrefix(name, "LDAP_") {
		return []string{name, "SLIPWAY_" + name}
	}
	return []string{"SLIPWAY_" + name}
}

// takeDirectoryPassword reads the password the directory is searched with, and
// keeps it from the processes this one starts.
func (o *options) takeDirectoryPassword() error {
	for _, variable := range variables("ldap-bind-password") {
		if v := os.Getenv(variable); v != "" {
			o.LDAP.BindPassword = v
		}
		_ = os.Unsetenv(variable) // fails for malformed names only
	}
	if o.LDAPPasswordFile == "" || o.LDAP.Endpoint == "" {
		return nil
	}
	text, err := os.ReadFile(o.LDAPPasswordFile)
	if err != nil {
		return fmt.Errorf("--ldap-bind-password-file: %w", err)
	}
	o.LDAP.BindPassword = strings.TrimRight(string(text), "\r\n")
	return nil
}

// openDirectory is nil without an endpoint.
func (o *options) openDirectory(log *slog.Logger) (*auth.Directory, error) {
	if o.LDAP.Endpoint == "" {
		return nil, nil
	}
	directory, err := auth.NewDirectory(o.LDAP)
	if err != nil {
		return nil, fmt.Errorf("--ldap-…: %w", err)
	}
	if directory.InTheClear() {
		log.Warn("passwords go to the directory unencrypted: use ldaps:// or --ldap-start-tls", "url", o.LDAP.Endpoint)
	}
	return directory, nil
}
