"""Why an agreement cannot be read, compiled, signed or relied on: one name for each reason."""

from __future__ import annotations

from protos.formats.errors import ConcordatError


class AgreementError(ConcordatError):
    """Something about an agreement; the root of this package's errors."""

    code = "agreement/refused"


class AgreementFileError(AgreementError):
    """The file as such: not there, too large, not UTF-8."""

    code = "agreement/file"


class AgreementSyntaxError(AgreementError):
    """The file is not TOML."""

    code = "agreement/toml-syntax"


class AgreementTextError(AgreementError):
    """The TOML does not say what an agreement has to say; names file, table and key."""

    code = "agreement/text"


class UnknownKeyError(AgreementTextError):
    """A key that means nothing in its table: most often a typing error, and never ignored."""

    code = "agreement/unknown-key"


class NotAPartyError(AgreementError):
    """Somebody wants to sign an agreement that does not name them, or names another key."""

    code = "agreement/not-a-party"


class NotYetValidError(AgreementError):
    """The agreement's time has not come, by this computer's clock."""

    code = "agreement/not-yet-valid"


class ExpiredError(AgreementError):
    """The agreement's time is over, by this computer's clock."""

    code = "agreement/expired"


class SplitViewError(AgreementError):
    """Asked for one agreement, given another: somebody is shown another text than the others."""

    code = "agreement/split-view"
