package api

// NamedToken is a credential of its own, without its secret. Slipway's own.
type NamedToken struct {
	Name     string   `json:"name"`
	Role     string   `json:"role" doc:"The most it may do with an app; empty: all its user may."`
	Apps     []string `json:"apps" doc:"The only apps it reaches; empty: all of its user."`
	Created  Time     `json:"created" format:"date-time"`
	Expires  *Time    `json:"expires" format:"date-time" doc:"null: never."`
	LastUsed *Time    `json:"last_used" format:"date-time" doc:"null: never; may lag by minutes."`
}

// CreateToken is the body of POST /v2/tokens/.
type CreateToken struct {
	Name string   `json:"name" maxLength:"128"`
	Role string   `json:"role,omitempty" enum:"viewer,deployer,operator,admin"`
	Apps []string `json:"apps,omitempty"`
	// ExpiresIn is in seconds; 0 is never.
	ExpiresIn int64 `json:"expires_in,omitempty" doc:"Seconds until it ends; 0: never."`
}

// CreatedToken answers a CreateToken; the secret is shown this once.
type CreatedToken struct {
	NamedToken
	Token string `json:"token"`
}
