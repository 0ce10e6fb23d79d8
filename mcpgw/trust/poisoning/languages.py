"""Imperatives of further languages: Arabic, Czech, Dutch, Greek, Hebrew, Indonesian, Polish,
Swedish, Turkish, Ukrainian. Only words that mean nothing else in the languages of `concepts`."""

from __future__ import annotations

from typing import Final

WORDS: Final = {
    "OVERRIDE": """negeer negeren vergeet zignoruj ignoruj zapomnij unut gormezden ignorera abaikan
        lupakan ігноруй ігноруйте забудь zapomen αγνοησε αγνοηστε ξεχασε تجاهل انس התעלם התעלמו
        שכח""",
    "PRIOR": """vorige eerdere voorgaande poprzednie poprzednich wczesniejsze onceki tidigare
        foregaende sebelumnya попередні попередніх predchozi προηγουμενες προηγουμενα السابقة
        הקודמות""",
    "RULES": """instructies aanwijzingen instrukcje instrukcji polecenia talimatlari talimatlar
        kurallari instruktioner regler instruksi perintah aturan інструкції правила instrukce pokyny
        pravidla οδηγιες εντολες التعليمات تعليمات ההוראות הוראות""",
    "INSTRUCTIONS": """instructies instrukcje talimatlari instruktioner instruksi інструкції
        instrukce οδηγιες التعليمات ההוראות""",
    "ALL": "wszystkie wszystkich tum butun alla semua усі всі vsechny ολες جميع כל",
    "NEG": "niet nooit nigdy inte aldrig jangan ніколи nikdy μην ποτε לא אל לעולם لا",
    "TELL": """vertel meld powiedz informuj beratta beritahu katakan кажи повідомляй rikej
        πεις αναφερεις تخبر תספר""",
    "USER": """gebruiker uzytkownikowi uzytkownika kullaniciya kullanici anvandaren pengguna
        користувачу користувачеві uzivateli χρηστη المستخدم למשתמש המשתמש""",
    "READ": "lees przeczytaj odczytaj oku baca прочитай precti διαβασε اقرأ קרא",
    "SEND": "stuur verzend wyslij przeslij gonder yukle skicka kirim unggah надішли відправ "
    "odesli posli στειλε أرسل ارسل שלח",
    "SHIP": "stuur verzend wyslij przeslij gonder yukle skicka kirim unggah надішли відправ "
    "odesli posli στειλε أرسل ارسل שלח",
    "ALWAYS": "altijd zawsze alltid selalu завжди vzdy παντα دائما תמיד",
    "STRICT": "altijd zawsze alltid selalu завжди vzdy παντα دائما תמיד",
    "FIRST": "eerst najpierw forst dulu спочатку nejprve πρωτα أولا תחילה",
    "BEFORE": "voordat zanim innan sebelum перед pred πριν قبل לפני",
}
"""Words by meaning, as `mcpgw.trust.poisoning.concepts` groups them."""
