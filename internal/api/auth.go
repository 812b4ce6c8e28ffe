package api

// User is somebody who may log in. It has no id and never a password.
type User struct {
	Email       string   `json:"email"`
	Username    string   `json:"username"`
	FirstName   string   `json:"first_name"`
	LastName    string   `json:"last_name"`
	IsSuperuser bool     `json:"is_superuser"`
	IsStaff     bool     `json:"is_staff"`
	Groups      []string `json:"groups" doc:"Of the directory the user comes from."`
	Permissions []string `json:"user_permissions" doc:"Always empty."`
	LastLogin   Time     `json:"last_login" format:"date-time"`
	DateJoined  Time     `json:"date_joined" format:"date-time"`
	IsActive    bool     `json:"is_active"`
}

// Register is the body of POST /v2/auth/register/. The first user of all
// becomes an administrator.
type Register struct {
	Username  string `json:"username" maxLength:"150" pattern:"^[\\w.@+-]+$"`
	Password  string `json:"password"`
	Email     string `json:"email,omitempty"`
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
}

// Login is the body of POST /v2/auth/login/.
type Login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Token answers a login and a regeneration.
type Token struct {
	Token string `json:"token" doc:"40 lower-case hex digits; does not expire."`
}

// Passwd is the body of POST /v2/auth/passwd/. An administrator may name
// another user and needs no Password.
type Passwd struct {
	Username    string `json:"username,omitempty"`
	Password    string `json:"password,omitempty" doc:"The present password."`
	NewPassword string `json:"new_password"`
}

// Status answers POST /v2/auth/passwd/.
type Status struct {
	Status string `json:"status"`
}

// Tokens is the body of POST /v2/auth/tokens/: empty for one's own token. The
// fields are for administrators.
type Tokens struct {
	Username string `json:"username,omitempty"`
	All      bool   `json:"all,omitempty"`
}

// Cancel is the body of DELETE /v2/auth/cancel/: empty for oneself.
type Cancel struct {
	Username string `json:"username,omitempty"`
}
