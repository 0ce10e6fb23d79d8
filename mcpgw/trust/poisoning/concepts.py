"""Vocabulary of poisoned definitions, grouped by meaning, in many languages.

Rules refer to meanings, so one rule covers every language. Verbs are listed as imperatives
(`read`), not in the third person (`reads`): a description says what a tool does, an attack orders
the model to do it.
"""

from __future__ import annotations

from mcpgw.trust.poisoning import languages

_WORDS = {
    "OVERRIDE": """discard discarding ignore ignoring disregard disregarding forget override
        overrule bypass circumvent neglect dismiss supersede ignorier ignoriere ignorieren
        vergiss vergesse missachte missachten ignora ignorar ignorez ignorer olvida olvide
        olvidar oublie oubliez oublier desestima desconsidere esqueca dimentica dimenticate
        ignorate игнорируй игнорируйте игнорировать забудь забудьте проигнорируй""",
    "PRIOR": """previous previously prior above earlier preceding foregoing former existing
        original vorherigen vorherige vorigen bisherigen bisherige fruheren vorangegangenen
        obigen anteriores anterior previas previos previa precedentes precedente anterieures
        anterieurs prealables precedenti anteriori предыдущие предыдущих прежние прежних прошлые
        ранние вышеуказанные""",
    "RULES": """instructions instruction rules guidelines guideline prompt prompts directives
        directive directions restrictions guardrails safeguards orders policy policies
        anweisungen anweisung regeln vorgaben instrucciones instruccion reglas indicaciones
        consignes consigne regles instrucoes regras istruzioni regole инструкции инструкций
        правила правил указания указаний""",
    "INSTRUCTIONS": """instructions guidelines prompt prompts directives guardrails safeguards
        anweisungen instrucciones consignes instrucoes istruzioni инструкции инструкций""",
    "YOUR": "your deine deiner deinen tus tes vos tuas seu свои ваши",
    "SAFETY": "safety security alignment safe ethical moderation",
    "ALL": """all any every each everything alle allen alles todas todos toda todo toutes tous
        tout tutte tutti все всех весь всю""",
    "NEG": """not never don dont no avoid cannot cant nicht nie niemals keinesfalls nichts nunca
        jamas ne pas jamais rien nao non mai не никогда nothing nobody none mustn shouldn needn
        won""",
    "WITHOUT": "without ohne sin sans sem senza без",
    "TELL": """tell mention inform notify reveal disclose alert say admit divulge sage sag sagen
        erwahne erwahnen informiere informieren verrate verraten mitteilen digas decir diga
        decirle menciones mencione mencionar informes informe reveles dis dites dire mentionne
        mentionnez mentionner informez revele conte informare говори говорите сообщай сообщайте
        упоминай упоминайте рассказывай раскрывай""",
    "TELLING": """telling mentioning informing notifying revealing disclosing alerting saying
        notice noticing knowledge knowing wissen informieren saber avertir ведома""",
    "TOLD": """told informed aware notified know learn hear suspect notice erfahren wissen
        merken saber enterarse sache savoir apprendre знать узнать""",
    "HIDE": "hide conceal withhold verschweige verschweigen verbirg oculta ocultar",
    "FROM": "from vor al a",
    "USER": """user human benutzer nutzer anwender benutzers usuario utilisateur utente
        пользователю пользователь пользователя""",
    "USERS": "user users human his her their benutzers nutzers usuario utilisateur пользователя",
    "SILENT": """silently quietly secretly covertly stealthily discreetly heimlich
        stillschweigend secretamente silenciosamente secretement discretement тайно незаметно""",
    "SECRETLY": "secretly covertly stealthily heimlich secretamente secretement тайно",
    "READ": """read open load fetch get cat access retrieve dump gather collect look quote
        extract list lies lese lesen offne lee leer lea abre lis lisez lire ouvre leia leggi
        leggere прочитай прочитайте открой прочти""",
    "READING": "reading opening",
    "PASS": """pass give include supply provide put attach forward send upload post paste hand
        transmit submit append embed insert copy place fill passing pasting giving set store gib
        gebe ubergib fuge sende schicke pasalo pasar pasa incluye inclúyelo envia pon passe
        passez inclus incluez envoie mets fournis inclua passa includi передай передайте вставь
        добавь отправь""",
    "SEND": """send resend upload post forward transmit deliver submit exfiltrate leak push
        relay report append sende sendet schicke ubermittle ubertrage lade envia envie manda
        mande sube transmite reenvia envoie envoyez transmets transmettez envoyer televerse
        invia inviate отправь отправьте отправляй отправляйте перешли пересылай передай загрузи""",
    "IN": "in into as im als en como dans comme em в как within under inside",
    "PARAM": """parameter param argument field arguments parameters input property parametro
        argumento parametre champ campo параметр параметре поле""",
    "CONTENT": "content contents text output value values inhalt contenido contenu содержимое",
    "MUST": """must have has need needs should required shall mandatory obliged ought muss musst
        sollst debes debe tienes dois doit devez deve должен должна должны обязан""",
    "STRICT": "must always shall immer siempre toujours sempre всегда имmer required mandatory",
    "ALWAYS": "always immer siempre toujours sempre всегда",
    "FIRST": "first zuerst primero premier zunachst prima primeiro сначала первым ahead beforehand",
    "PLEASE": "please bitte por favor пожалуйста",
    "BEFORE": "before prior ahead vor bevor antes avant prima перед прежде",
    "USE": """use using used call calling called invoke invoking invoked run running execute
        executing usage calls benutzt verwendest nutzt aufrufst benutzung verwendung usar llamar
        utiliser utilises appeler usare использованием вызовом""",
    "CALL": """call invoke run execute use consult trigger rufe aufrufen nutze verwende benutze
        llama llame invoca usa appelle appelez utilise utilisez chame chiama вызывай вызови
        используй called invoked executed consulted""",
    "CALLED": "called used invoked available run executed enabled active present",
    "EXECUTE": "run execute exec running executing launch starte ejecuta выполни",
    "TOOL": """tool tools function functions server servers werkzeug werkzeuge werkzeuges
        werkzeugen herramienta herramientas outil outils ferramenta strumento инструмент
        инструмента инструментами инструменты""",
    "SERVER": "server servers",
    "OTHER": """other others another anderen andere anderem otra otras cualquier autre autres
        outra altro altri другими другие других любыми""",
    "THIS": "this these dieses diese esta este cet cette questo этот этого",
    "IT": "it this that so these them step",
    "EVERY": "every each any jeder jede jedem cada chaque ogni каждым каждого",
    "TURN": """response answer reply message conversation chat request question task turn
        session answers replies messages requests prompt antwort respuesta reponse""",
    "WHEN": "when whenever if while each every wenn falls cuando si quand lorsque когда",
    "MODIFY": """set change replace add append modify swap redirect alter rewrite insert route
        put changed replaced prepend send modified swapped redirected include use modifying
        replacing""",
    "TARGET": """recipient recipients account iban wallet address amount beneficiary payee
        channel number to condition cc bcc top""",
    "BY": "by with to for",
    "BAD": """dangerous deprecated insecure malicious compromised unsafe wrong broken untrusted
        infected obsolete""",
    "INSTEAD": "instead anstelle statt lugar place вместо",
    "PREFER": "prefer favor favour",
    "OVER": "over to above",
    "WHATEVER": "whatever regardless irrespective egal",
    "MATTER": "matter",
    "ASKS": """asks asked asking says said say states stated wants wanted wish wishes gives
        given requested requests request told typed""",
    "ASK": "ask asking require request await waiting seek",
    "PERMISSION": """permission confirmation approval consent approvals confirmations
        bestatigung permiso confirmacion autorisation разрешения""",
    "MODEL": "assistant assistants agent agents model ai llm claude gpt chatbot copilot",
    "YOU": "you du tu vous usted ты вы",
    "NOW": "now jetzt ahora maintenant",
    "ON": "on",
    "ACT": "act behave pretend roleplay impersonate pose",
    "AS": "as",
    "MODE": "mode",
    "SPECIALMODE": "developer maintenance god admin debug dan jailbreak unrestricted root sudo",
    "UNBOUND": "dan jailbreak unrestricted uncensored unfiltered evil unlimited administrator",
    "APPROVED": "approved agreed authorised authorized confirmed consented accepted",
    "SKIP": "skip bypass disable circumvent",
    "CHECKS": "checks check restrictions confirmations confirmation safeguards approvals filters",
    "OBEY": "obey obeyed comply heed gehorche obedece obeissez obeis подчиняйся follow followed",
    "OBEYSTRICT": "obey obeyed gehorche obedece obeis obeissez подчиняйся",
    "TREAT": "treat regard consider rank",
    "ORDER": "order orders command commands directive directives instruction instructions",
    "VOID": "void invalid superseded obsolete outdated revoked cancelled canceled annulled",
    "APPLY": "apply applies valid",
    "LONGER": "longer",
    "REPLACED": "replaced overridden superseded overwritten suspended",
    "PRECEDENCE": "precedence priority outranks supersedes overrides",
    "SYSTEM": "system developer",
    "ATTENTION": "attention heed",
    "NEW": "new",
    "TASK": "task role goal objective mission job",
    "WHOLE": """whole entire full complete all verbatim gesamten ganzen kompletten toda todo
        completa entera toute tout entiere весь всю полный everything every""",
    "CONV": """conversation dialogue dialog transcript gesprach gesprachsverlauf verlauf
        chatverlauf conversacion discussion conversa conversazione разговор переписку
        conversationhistory chathistory systemprompt previousmessages""",
    "SYSPROMPT": "systemprompt systemmessage systeminstructions",
    "SECRETDATA": """password passwords passphrase credentials credential apikey apikeys
        privatekey privatekeys sshkey sshkeys accesstoken accesstokens secret secrets seedphrase
        envvars environmentvariables passworter passwort kennworter zugangsdaten schlussel
        contrasenas contrasena credenciales claves motsdepasse identifiants senhas senha пароли
        пароль ключи cookies""",
    "PRIVATE": """password passwords credentials files file mails emails mail data messages
        message address keys key token tokens documents contacts photos location secrets history
        repositories tabs questions question ssh""",
    "ENV": "envvars environmentvariables",
    "SOFAR": "sofar verbatim wordforword",
    "SAID": "said says wrote typed told",
    "EVERYTHING": "everything all whatever anything",
    "HOLD": "hold contain carry include have be",
    "OURSERVER": "ourserver ourservers unserenserver nuestroservidor notreserveur нашсервер",
    "LINK": "link links url image parameter query reference",
    "ENCODE": "encode encoded encoding encrypt",
    "BCC": "bcc cc blindcopy",
    "KEEP": "keep stay remain",
    "BETWEENUS": "betweenus unteruns entrenosotros entrenous",
    "QUIET": "quiet silent secret",
    "DENY": "deny",
    "THAT": "that",
    "REPORT": "report reveal show display print log",
    "LET": "let",
    "KNOW": "know have find found see",
    "LEAVE": "leave omit exclude",
    "OUT": "out from",
    "ALSO": "also afterwards additionally then once secretly",
    "SHIP": """send resend forward transmit upload exfiltrate leak relay mirror dispatch copy
        sende sendet schicke ubermittle ubertrage lade envia envie manda mande sube transmite
        reenvia envoie envoyez transmets transmettez envoyer invia inviate отправь отправьте
        отправляй перешли пересылай передай загрузи""",
    "BLIND": "bcc blindcopy",
    "MAILING": "email mail post submit push deliver report write pipe stream publish",
    "COPY": "copy copies duplicate bcc kopie copia copie копию",
    "RESULT": """result results output outputs response responses answer content contents data
        files text record records message messages details summary everything credentials""",
    "DESTROYS": "reset delete remove erase wipe drop purge overwrite grant refund",
    "HARMS": """reset delete remove erase wipe drop purge send post email mail message transfer
        upload push execute overwrite move grant refund evaluate""",
    "WRITE": """overwrite append write create modify move copy delete replace upload push
        relocate edit chmod transfer add put remove erase wipe""",
    "CHANGE": """replace replaced change changed modify modified alter altered rewrite rewritten
        swap swapped redirect redirected override overridden substitute upgraded""",
    "PRETEXT": """security secure compliance audit auditing auditability privacy integrity
        stability unauthorized unauthorised authenticity leaks suspicious permissions
        authorization authentication protocol protocols tracking""",
    "ENSURE": """ensure ensures ensuring enhance verify validate verification prevent preventing
        prevents check maintain monitor protect""",
    "DEMANDED": "mandatory required critical essential standard compulsory",
    "STEP": """step check procedure protocol rule requirement reasons purposes process measure
        logging log backup""",
    "FAILURE": "failure failing skipping omitting ignoring neglecting leaving",
    "OTHERWISE": "otherwise else without",
    "BREAK": """crash crashes corrupt corrupts corrupted corruption disrupt disrupts overload
        instability error errors failure failures loss denial denied incorrect unstable fail
        fails rejected invalid blocked""",
    "CHOOSE": "choose pick select prefer prioritize prioritise favor favour",
    "ALTERNATIVE": "alternative alternatives tool tools option options competitor competitors",
    "INFERIOR": "inferior outdated unreliable inaccurate",
    "OUTPERFORM": "outperforms outperform beats surpasses",
    "DELIVERED": "copied sent forwarded relayed uploaded mailed emailed",
    "INQUIRE": "ask request await",
    "RANK": "priority precedence importance authority",
    "HIGHER": "higher greater",
    "REPEAT": "echo repeat reveal recite",
    "ANYOTHER": """anderen andere anderem otra otras cualquier autre autres outra altro altri
        другими других""",
    "MADEAWARE": "informed aware hear suspect notice erfahren merken",
    "TO": "to into at",
    "FOR": "for",
    "ANY": "any",
    "THING": "it its them their what everything content contents line lines that this values",
    "AFTER": "after once",
    "HEED": "commands command requests wishes orders",
}

_IDEOGRAPHS = {
    "OVERRIDE": "忽略 无视 無視 忘记 忘掉 不理会 忘れ 무시",
    "PRIOR": "之前 先前 以前 此前 上述 上面 これまで 上記 이전",
    "RULES": "指令 指示 规则 規則 提示 说明 ルール 命令 지시 규칙",
    "INSTRUCTIONS": "指令 指示 プロンプト 提示词 지시",
    "ALL": "所有 一切 全部 すべて 全て 모든",
    "NEG": "不要 切勿 不得 别 请勿 勿 不能 ないで ないこと 決して なしに 마세요 말고",
    "TELL": "告诉 告知 提及 透露 通知 提到 伝え 言わ 知らせ 話さ 알리 말하",
    "USER": "用户 使用者 ユーザー ユーザ 사용자",
    "USERS": "用户 ユーザー 사용자",
    "SILENT": "悄悄 秘密 偷偷 こっそり 密かに 몰래",
    "SECRETLY": "悄悄 偷偷 こっそり 密かに 몰래",
    "READ": "读取 打开 读 読み取 読み込 開い 読ん 읽",
    "PASS": "放入 传入 传递 填入 包含 附加 入れ 渡し 含め 전달",
    "SHIP": "发送 上传 发给 传送 提交 送信 送って アップロード 転送 전송",
    "THING": "内容 其 它 その それ 내용",
    "SEND": "发送 上传 发给 传送 提交 送信 送って アップロード 転送 전송",
    "CONTENT": "内容 내용",
    "PARAM": "参数 字段 パラメータ 引数",
    "MUST": "必须 应当 需要 必ず なければ",
    "STRICT": "必须 始终 总是 必ず 常に 항상",
    "ALWAYS": "始终 总是 一律 必ず 常に 항상",
    "FIRST": "首先 先 第一 最初 まず 먼저",
    "PLEASE": "请 ください",
    "BEFORE": "之前 前に 先于 より先 前",
    "USE": "使用 调用 使う 使用する 呼び出す",
    "CALL": "调用 使用 呼び出し 使って",
    "TOOL": "工具 ツール 도구",
    "ANYOTHER": "其他 任何其他 他の ほかの 다른",
    "OTHER": "其他 任何其他 他の ほかの 다른",
    "THIS": "此 本 这个 この",
    "WHOLE": "整个 全部 完整 全体 すべて",
    "CONV": "对话 聊天记录 会話 会话 대화",
    "SECRETDATA": "密码 密钥 凭据 パスワード 秘密鍵 비밀번호",
    "PRIVATE": "密码 文件 パスワード ファイル",
    "OURSERVER": "我们的服务器 当社のサーバー",
    "OBEYSTRICT": "従って 服从",
}

PHRASES = (
    r"api[ _-]?keys?|private[ _-]keys?|ssh[ _-]keys?|access[ _-]tokens?|seed[ _-]phrase|"
    r"env(?:ironment)?[ _-]var(?:iable)?s|mots de passe|system[ _-](?:prompt|message|instructions)|"
    r"(?:chat|conversation)[ _-]history|previous messages|so far|word for word|between us|"
    r"unter uns|entre nosotros|entre nous|blind copy|our servers?|unseren server|"
    r"nuestro servidor|notre serveur|наш сервер"
)
"""Words that have a meaning only together; `_WORDS` lists them without spaces."""

NOT_THE_USER = (
    r"user[ _-](?:interface|agent|id|ids|name|account|group|role|story|stories|guide|manual|"
    r"profile|input|defined|friendly|space|mode|preferences|settings|base|research|experience)"
)
"""Phrases in which `user` is not the person talking to the model."""

SPECIAL = (
    "HARMNAME",
    "COMMAND",
    "SECRETFILE",
    "KEYFILE",
    "URL",
    "EMAIL",
    "PIPESHELL",
    "NAME",
    "ACCOUNT",
)
"""Meanings found by a pattern instead of a word."""

BITS = {name: 1 << place for place, name in enumerate((*_WORDS, *SPECIAL))}
"""One bit for each meaning."""


def words() -> dict[str, int]:
    """Return each word of the languages written with spaces, with its meanings."""
    masks = _masks(_WORDS)
    for word, mask in _masks(languages.WORDS).items():
        masks[word] = masks.get(word, 0) | mask
    return masks


def ideographs() -> dict[str, int]:
    """Return the Chinese, Japanese and Korean words, with their meanings."""
    return _masks(_IDEOGRAPHS)


def _masks(table: dict[str, str]) -> dict[str, int]:
    masks: dict[str, int] = {}
    for name, text in table.items():
        for word in text.split():
            masks[word] = masks.get(word, 0) | BITS[name]
    return masks
